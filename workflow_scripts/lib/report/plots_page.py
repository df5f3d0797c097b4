"""The page into which `dvc plots show` and `diff` put their plots, with Vega in it: DVC's own loads it from the net.

.dvc/config names it as plots.html_template. DVC's templates are of Vega-Lite 5.
"""

from functools import cache

import vl_convert

VEGA_LITE = "5.21"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<link rel="icon" href="data:,">
<script>BUNDLE</script>
<style>
body { font: 1rem/1.5 "Helvetica Neue", Helvetica, Arial, sans-serif; margin: 2rem; }
</style>
</head>
<body>
{plot_divs}
</body>
</html>
"""


@cache
def plots_page() -> str:
    """The page with DVC's placeholders; `{scripts}`, which would load from the net, is not among them."""
    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE).replace("</script", "<\\/script")
    return PAGE.replace("BUNDLE", bundle)
