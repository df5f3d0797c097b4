"""How alike texts are by the words that they share, each weighted by how few texts have it (tf-idf).

Weights are those of scikit-learn's TfidfVectorizer: idf = 1 + ln((1 + n) / (1 + df)) over the pool, whose words alone
count, and vectors of length one. Words are runs of letters and digits in lower case, single characters among them. A
text in a script without spaces is one word, and like no other.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from workflow_scripts.lib.data.examples import Example

WORD = re.compile(r"\w+")

Weights = Mapping[str, float]


def tf_idf(queries: Sequence[Example], pool: Sequence[Example]) -> list[list[float]]:
    """For every query its cosine with every example of the pool, 0 to 1; 0 where they share no word."""
    counts = [_words(one) for one in pool]
    texts = Counter(word for some in counts for word in some)
    idf = {word: 1 + math.log((1 + len(pool)) / (1 + number)) for word, number in texts.items()}
    weights = [_unit(some, idf) for some in counts]
    asked = [_unit(_words(query), idf) for query in queries]
    return [[_cosine(query, one) for one in weights] for query in asked]


def _words(example: Example) -> Counter[str]:
    return Counter(word for text in example.fields.values() for word in WORD.findall(text.lower()))


def _unit(counts: Mapping[str, int], idf: Weights) -> Weights:
    weighted = {word: number * idf[word] for word, number in counts.items() if word in idf}
    length = math.hypot(*weighted.values())
    return {word: weight / length for word, weight in weighted.items()}


def _cosine(one: Weights, other: Weights) -> float:
    return math.fsum(weight * other[word] for word, weight in one.items() if word in other)
