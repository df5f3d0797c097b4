"""The page into which `dvc plots show` and `diff` put their plots, with Vega in it: DVC's own loads it from the net.

.dvc/config names it as plots.html_template; the templates of plots in .dvc/plots/ are of the same Vega-Lite.
"""

from workflow_scripts.lib.report.drawing import bundle

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


def plots_page() -> str:
    """The page with DVC's placeholders; `{scripts}`, which would load from the net, is not among them."""
    return PAGE.replace("BUNDLE", bundle().replace("</script", "<\\/script"))
