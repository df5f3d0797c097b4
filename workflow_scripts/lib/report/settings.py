"""What params.yaml says of render_report."""

from workflow_scripts.lib.strict import Strict


class RenderReport(Strict):
    """Settings of the stage of that name."""

    title: str
