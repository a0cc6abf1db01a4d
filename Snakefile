# From bead stacks and movies to tracks in three dimensions and a verdict on Brownian motion.
#
#   bead stacks -> ingest_beads -> augment -> train_fcn -> train_cnn -> evaluate
#                                                                          |
#   movies ----------------------------------------------------------> localize -> link -> diffusion -> report
#
# What a user edits is in config/; what comes out is in results/.

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/config.smk"


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/psf.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/trained.smk"
include: "workflow/rules/localization.smk"
include: "workflow/rules/tracking.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/exports.smk"
include: "workflow/rules/preview.smk"
include: "workflow/rules/benchmark.smk"


localrules:
    all,


# tables that the report rests on are named too: after a failed and mended run, Snakemake would otherwise take
# a last file that is still there for up to date
rule all:
    default_target: True
    input:
        SUMMARIES,
        of_every_optics,
        of_every_movie(*OF_ACQUISITION),
        exports(),


# At the end of a run of its scheduler, Snakemake 9 has itself woken once more a second later, to see whether its limit of 100 jobs
# a second allows for more; so with each job that ends the scheduler runs once more a second, and with a hundred movies takes a
# third of a core. On one computer the cores limit.
onstart:
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


# the run has failed all the same, and says so by its exit code
onerror:
    report_what_is_finished()


onsuccess:
    tell_what_was_made()
