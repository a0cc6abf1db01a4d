# Accuracy and speed against known truth: `snakemake benchmark`. Nothing of it is part of `all`.

from defocus3d.benchmark import analysis as simulated
from defocus3d.benchmark import sets

SIZE = analysis.config["benchmark"]["size"]
BENCHMARK_MOVIES = list(sets.data_sets(SIZE))
BENCHMARK_FILES = ["psf.npz", "beads.csv", "fcn.onnx", "cnn.onnx", "calibration.json"]
BENCHMARK_TABLES = ["accuracy", "errors", "detection", "coverage", "speed", "growth"]
OURS = {  # settings of `localization`
    "networks": {"refine": "none", "search": "quick"},
    "quick": {"refine": "mle", "search": "quick"},
    "thorough": {"refine": "mle", "search": "thorough"},
}
METHODS = [*OURS, "trackpy", "correlation"]


rule benchmark_stack:
    output:
        stack="results/benchmark/data/beads_{stack}.tif",
    log:
        "results/logs/benchmark/beads_{stack}.log",
    wildcard_constraints:
        stack="|".join(simulated.STACKS["full"]),
    conda:
        "../../envs/simulation.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/benchmark_stack.py"),
        planes=simulated.PLANES[SIZE],
        seed=lambda wildcards: 1 + simulated.STACKS["full"].index(wildcards.stack),
    script:
        "../scripts/benchmark_stack.py"


rule benchmark_movies:
    output:
        movies=expand("results/benchmark/data/{movie}.tif", movie=BENCHMARK_MOVIES),
        truth=expand(
            "results/benchmark/data/{movie}_truth.parquet", movie=BENCHMARK_MOVIES
        ),
    log:
        "results/logs/benchmark/movies.log",
    conda:
        "../../envs/simulation.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code_of("scripts/benchmark_movies.py"),
        size=SIZE,
        seed=2,
    script:
        "../scripts/benchmark_movies.py"


rule benchmark_train:
    input:
        expand(
            "results/benchmark/data/{name}.tif",
            name=[f"beads_{stack}" for stack in simulated.STACKS[SIZE]]
            + [name for name, one in sets.ACCURACY.items() if one.moving],
        ),
    output:
        optics=expand("results/benchmark/optics/{file}", file=BENCHMARK_FILES),
        seconds="results/benchmark/optics/seconds.json",
    log:
        "results/logs/benchmark/train.log",
    conda:
        "../../envs/report.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        code=code_of("scripts/benchmark_train.py"),
        stages=[code_of(f"scripts/{stage}.py") for stage in simulated.STAGES],
        size=SIZE,
        files=BENCHMARK_FILES,
        folder="results/benchmark/analysis",
        data="../data",
        options=deployment_options(),
    script:
        "../scripts/benchmark_train.py"


rule benchmark_localize:
    input:
        movies=rules.benchmark_movies.output.movies,
        psf="results/benchmark/optics/psf.npz",
        fcn="results/benchmark/optics/fcn.onnx",
        cnn="results/benchmark/optics/cnn.onnx",
        calibration="results/benchmark/optics/calibration.json",
    output:
        found="results/benchmark/found/{method}.parquet",
        speed="results/benchmark/found/{method}.json",
    log:
        "results/logs/benchmark/{method}.log",
    wildcard_constraints:
        method="|".join(OURS),
    conda:
        "../../envs/localization.yaml"
    threads: lambda wildcards: workflow.cores  # all of them, so that nothing else runs while time is measured
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code_of("scripts/benchmark_localize.py"),
        size=SIZE,
        localization=lambda wildcards: OURS[wildcards.method],
        blur_um={
            name: blur_of(
                {**simulated.imaging(one.exposure_s), "viscosity_pa_s": None}
            )
            for name, one in sets.data_sets(SIZE).items()
        },
    script:
        "../scripts/benchmark_localize.py"


rule benchmark_baseline:
    input:
        movies=rules.benchmark_movies.output.movies,
        psf="results/benchmark/optics/psf.npz",
        beads="results/benchmark/optics/beads.csv",
    output:
        found="results/benchmark/found/{method}.parquet",
        speed="results/benchmark/found/{method}.json",
    log:
        "results/logs/benchmark/{method}.log",
    wildcard_constraints:
        method="trackpy|correlation",
    conda:
        "../../envs/benchmark.yaml"
    threads: lambda wildcards: workflow.cores  # all of them, so that nothing else runs while time is measured
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code_of("scripts/benchmark_baseline.py"),
        size=SIZE,
        stacks=simulated.stacks("results/benchmark/data", SIZE),
    script:
        "../scripts/benchmark_baseline.py"


rule benchmark_scores:
    input:
        truth=rules.benchmark_movies.output.truth,
        found=expand("results/benchmark/found/{method}.parquet", method=METHODS),
        speed=expand("results/benchmark/found/{method}.json", method=METHODS),
    output:
        expand("results/benchmark/{table}.csv", table=BENCHMARK_TABLES),
    log:
        "results/logs/benchmark/scores.log",
    conda:
        "../../envs/benchmark.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code_of("scripts/benchmark_scores.py"),
        size=SIZE,
        methods=METHODS,
    script:
        "../scripts/benchmark_scores.py"


rule benchmark:
    input:
        tables=rules.benchmark_scores.output,
        seconds="results/benchmark/optics/seconds.json",
        movies=expand("results/benchmark/data/{movie}.tif", movie=sets.NAMED),
        truth=expand("results/benchmark/data/{movie}_truth.parquet", movie=sets.NAMED),
    output:
        page="results/benchmark/report.html",
        figures=expand(
            "results/benchmark/figures/{name}.png",
            name=["movies", "psf", "errors", "detection", "coverage", "growth"],
        ),
    log:
        "results/logs/benchmark/report.log",
    conda:
        "../../envs/benchmark.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/benchmark_report.py"),
        size=SIZE,
    script:
        "../scripts/benchmark_report.py"
