# The demo's input. Runs only where a sheet names these files.


rule simulate_beads:
    output:
        stack="resources/demo/beads_{stack}.tif",
        truth="resources/demo/beads_{stack}_truth.csv",
    log:
        "results/logs/simulate/beads_{stack}.log",
    wildcard_constraints:
        stack="|".join(DEMO_STACKS),
    conda:
        "../../envs/simulation.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/simulate_beads.py"),
        seed=lambda wildcards: demo_seed(wildcards.stack),
    script:
        "../scripts/simulate_beads.py"


rule simulate_movie:
    output:
        movie="resources/demo/{movie}.tif",
        truth="resources/demo/{movie}_truth.parquet",
    log:
        "results/logs/simulate/{movie}.log",
    wildcard_constraints:
        movie="|".join(DEMO_MOVIES),
    conda:
        "../../envs/simulation.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/simulate_movie.py"),
        seed=lambda wildcards: demo_seed(wildcards.movie),
    script:
        "../scripts/simulate_movie.py"
