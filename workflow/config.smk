# Checks the text of the config files before Snakemake reads them, which would name no line and take the second of two equal keys.

from pathlib import Path

from snakemake.exceptions import WorkflowError

from defocus3d import config_text, settings

if workflow.is_main_process:
    texts = [*workflow.configfiles, Path("config/config.yaml")]
    if workflow.configfiles and not texts[-1].exists():
        texts.pop()
    wrong = [problem for text in texts for problem in config_text.problems(text)]
    if wrong:
        raise WorkflowError(str(settings.InputErrors(wrong)))
