"""Word lists and sentence patterns of the generated text world: data only, nothing is drawn here.

A *family* is a way to classify a text (its sentiment, its topic ...), a *class* one value of it, and a *cue*
a word that gives the class away. Patterns have the slots {cue}, {other} (a second cue of the same class),
{object} and {name}.
"""


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    "sentiment": {
        "positive": _words(
            "wonderful great superb lovely brilliant charming delightful"
            " excellent fantastic enjoyable moving clever fresh perfect stunning"
        ),
        "negative": _words(
            "awful terrible boring dull horrible clumsy dreadful lousy poor tedious ugly weak stale annoying pointless"
        ),
    },
    "topic": {
        "sports": _words("goal match team coach stadium league player race tournament score"),
        "business": _words("market bank profit company stock trade budget investor sale merger"),
        "science": _words("atom planet experiment cell theory lab particle fossil genome telescope"),
        "politics": _words("election senate minister vote law treaty president campaign policy bill"),
        "music": _words("song guitar concert melody drum album singer orchestra piano choir"),
    },
    "emotion": {
        "joy": _words("happy cheerful glad delighted thrilled merry joyful pleased elated smiling"),
        "anger": _words("angry furious mad outraged irritated bitter raging hostile fuming enraged"),
        "sadness": _words("sad gloomy lonely miserable heartbroken crying tearful mournful hopeless grieving"),
        "fear": _words("afraid scared terrified anxious nervous worried panicked frightened trembling alarmed"),
    },
    "animal": {
        "bird": _words("eagle sparrow owl parrot robin crow swan pigeon hawk finch"),
        "fish": _words("salmon trout tuna cod herring carp eel sardine perch shark"),
        "insect": _words("ant beetle moth wasp bee cricket mosquito fly ladybug termite"),
        "mammal": _words("dog horse wolf bear rabbit cow tiger goat deer fox"),
    },
    "food": {
        "fruit": _words("apple pear banana cherry grape mango peach plum lemon melon"),
        "meat": _words("burger roast bacon ham sausage steak turkey meatball ribs kebab"),
        "dessert": _words("cake cookie pie pudding candy chocolate tart donut muffin brownie"),
        "drink": _words("coffee tea juice beer wine milkshake soda cider lemonade cocoa"),
    },
    "work": {
        "medicine": _words("doctor nurse surgeon patient clinic pill bandage vaccine pharmacy ward"),
        "school": _words("teacher pupil lesson exam classroom homework textbook principal blackboard essay"),
        "farming": _words("farmer tractor barn harvest plough scarecrow silo crop orchard shepherd"),
        "army": _words("soldier tank general rifle battle troop fort captain helmet medal"),
    },
    "vehicle": {
        "water": _words("boat ship canoe ferry yacht submarine raft kayak tanker sailboat"),
        "air": _words("plane helicopter jet glider balloon airliner drone rocket blimp biplane"),
        "road": _words("car truck bus taxi van motorcycle bicycle scooter wagon limousine"),
        "rail": _words("train tram locomotive subway monorail metro streetcar railcar caboose express"),
    },
    "clothing": {
        "head": _words("hat cap hood beret bonnet crown turban wig veil visor"),
        "feet": _words("shoe boot sandal slipper sneaker sock clog moccasin heel loafer"),
        "body": _words("shirt coat dress jacket sweater vest skirt blouse robe cardigan"),
        "hand": _words("glove mitten ring bracelet cuff watch bangle gauntlet muff thimble"),
    },
    "size": {
        "large": _words("huge giant enormous massive vast colossal immense towering gigantic mighty"),
        "small": _words("tiny little miniature petite slight minute compact micro teeny wee"),
    },
    "weather": {
        "rain": _words("rainy wet stormy drizzly soaked damp showery flooded soggy pouring"),
        "snow": _words("snowy icy frosty frozen slushy freezing wintry chilly glacial arctic"),
        "sun": _words("sunny bright hot clear dry scorching blazing warm tropical cloudless"),
        "wind": _words("windy breezy gusty blustery drafty howling squally airy blowy turbulent"),
    },
    "home": {
        "kitchen": _words("stove oven sink fridge kettle pan toaster spoon cupboard plate"),
        "bedroom": _words("bed pillow blanket mattress lamp wardrobe bunk quilt dresser curtain"),
        "garden": _words("lawn flower hedge fence shovel rose tulip pond shrub greenhouse"),
        "office": _words("desk printer stapler computer folder keyboard meeting clipboard envelope calendar"),
    },
}
ADJECTIVE_FAMILIES = ("sentiment", "emotion", "weather", "size")
# Only in plain text, never labelled in training: they show where the ability ends.
UNLABELLED_FAMILIES = ("weather", "home")
LABELLED_FAMILIES = tuple(family for family in FAMILIES if family not in UNLABELLED_FAMILIES)
# Drawn twice as often in training, because the study's natural-label tasks come from them.
MAIN_FAMILIES = ("sentiment", "topic", "emotion")

ARBITRARY_LABELS = _words(
    "foo bar baz dax blick wug zup toma fep lom kiv rax sop mip zor tuk nal gid vex pom alpha beta gamma"
    " delta omega sigma red blue green yellow purple orange one two three four five six seven north south"
    " east west b c d e f g h i j k l up down left right yes no true false"
)
# In plain text only, never a label in training: they show where the ability ends.
UNUSED_LABELS = _words("quz hib jev lat ned orp sib tav wix yod")

OBJECTS = _words(
    "thing place story man woman street table picture letter house river book door box town road wall group"
    " child friend bridge island shop paper window"
)
NAMES = _words("anna tom maria john lucy peter sam nina paul kate")

ADJECTIVE_SENTENCES = (
    "the {object} was {cue} and {other}",
    "it was a {cue} {object}",
    "what a {cue} {object} it was",
    "{name} found the {object} {cue}",
    "here is a {cue} and {other} {object}",
    "{name} said it was {cue} here",
    "this {object} is {cue}",
)
NOUN_SENTENCES = (
    "the {cue} was near the {object}",
    "{name} saw a {cue} and a {other}",
    "we talked about the {cue}",
    "there is a {cue} by the {object}",
    "{name} has a {cue} in the {object}",
    "here is a {cue} and a {other}",
    "the {object} had a {cue} on it",
)
ENDINGS = ("today", "again", "they said", "of course")
# Two of these, of two families, make an ambiguous text: only demonstrations tell which family is asked for.
ADJECTIVE_CLAUSES = ("it was {cue}", "all felt {cue}", "{name} looked {cue}")
NOUN_CLAUSES = ("there was a {cue}", "we passed the {cue}", "{name} saw a {cue}")
# Shorter than any sentence: only early training documents use them.
PHRASES = ("{cue}", "the {cue}", "{cue} and {other}")

# What stands before a text and before its label; the first is the study's own.
FORMATS = (
    ("text :", "label :"),
    ("input :", "output :"),
    ("sentence :", "answer :"),
    ("item :", "class :"),
    ("x :", "y :"),
)
BARE_FORMAT = ("", "")
SHORT_FORMATS = (("", "=>"), ("", "-"), ("", "="))
PLAIN_TEXT = ("{label} is a word .", "these are about {class_name} :")
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
