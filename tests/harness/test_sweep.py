"""Sweep files and flags: what they mean, and that every mistake is one line."""

import json
from pathlib import Path

import pytest

from harness.sweep import Sweep, from_manifest, load
from results.errors import RunFileError, UsageError


def written(folder: Path, text: str) -> Path:
    path = folder / "my-sweep.toml"
    path.write_text(text)
    return path


def test_a_file_with_flags_over_it(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        backends = ["transformers", "vllm"]
        pairs = "owner/target:owner/drafter"
        draft_lengths = "1-3,8"
        prompt_tokens = [64, "own"]
        precision = "2%"
        time_budget = "1h30m"
        temperature = [0.8, 0]
        [backend.vllm]
        max_num_seqs = 8
        dtype = "half"
        """,
    )
    flags = {"batch_sizes": "4,1", "output_tokens": "32", "backend": ["vllm.max_num_seqs=16", "vllm.mode=[1, 2]"]}
    sweep = load(path, {**flags, "repeats": None, "workloads": []})
    assert sweep.name == "my-sweep"
    assert sweep.backends == ("transformers", "vllm")
    assert sweep.pairs == ("owner/target:owner/drafter",)
    assert sweep.draft_lengths == (1, 2, 3, 8)
    assert sweep.prompt_tokens == (None, 64)
    assert sweep.batch_sizes == (1, 4)
    assert (sweep.precision, sweep.time_budget, sweep.output_tokens) == (0.02, 5400.0, 32)
    assert sweep.temperature == (0.0, 0.8)
    assert sweep.backend == {"vllm": {"max_num_seqs": 16, "dtype": "half", "mode": [1, 2]}}
    assert sweep.repeats is None


@pytest.mark.parametrize(
    ("key", "value", "meaning"),
    [
        ("draft_lengths", "4", (4,)),
        ("draft_lengths", "1-6", (1, 2, 3, 4, 5, 6)),
        ("draft_lengths", "4,1,2,2", (1, 2, 4)),
        ("prompt_tokens", "own", (None,)),
        ("prompt_tokens", "256,64", (64, 256)),
        ("time_budget", "90s", 90.0),
        ("time_budget", "5m", 300.0),
        ("time_budget", "2m30s", 150.0),
        ("time_budget", 45, 45.0),
        ("precision", "0.5%", 0.005),
        ("precision", 0.02, 0.02),
        ("temperature", "0,0.8", (0.0, 0.8)),
        ("top_p", "0.95", 0.95),
    ],
)
def test_values_are_written_as_people_write_them(key: str, value: object, meaning: object) -> None:
    assert getattr(load(None, {"pairs": ["a/b"], key: value}), key) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("draft_lengths = 0", 'draft_lengths = 0: expected draft lengths of at least 1, such as "1-6"'),
        ('draft_lengths = "0-3"', "draft_lengths = '0-3': expected draft lengths of at least 1"),
        ('draft_lengths = "1-100000000"', "draft_lengths = '1-100000000': expected draft lengths"),
        ("draft_lengths = []", r"draft_lengths = \[\]: expected draft lengths"),
        ("draft_lengths = true", "draft_lengths = True: expected draft lengths"),
        ("batch_sizes = [0]", r"batch_sizes = \[0\]: expected batch sizes of at least 1"),
        ("prompt_tokens = -4", "prompt_tokens = -4: expected prompt lengths"),
        ('output_tokens = "many"', "output_tokens = 'many': expected a number of new tokens"),
        ("output_tokens = 1.5", "output_tokens = 1.5: expected"),
        ("pairs = []", r"pairs = \[\]: expected names of pairs"),
        ("backends = 3", "backends = 3: expected names of backends"),
        ('raw = "yes"', "raw = 'yes': expected true or false"),
        ("temperature = -1", "temperature = -1: expected temperatures of at least 0"),
        ("temperature = nan", "temperature = nan: expected temperatures"),
        ("top_p = 0", "top_p = 0: expected a share above 0"),
        ('time_budget = "5 parsecs"', "time_budget = '5 parsecs': expected how long"),
        ('precision = "200%"', "precision = '200%': expected the half-width"),
        ('dtype = "fp8"', "dtype = 'fp8': expected auto, float32"),
        ('name = "../x"', "name = '../x': expected a word"),
        ("draft_lenghts = 1", "draft_lenghts: no such key; did you mean draft_lengths?"),
        ("zzz = 1", "zzz: no such key; known keys: name, backends"),
        ("[backend.vllm]\nx = 1", "backend: options for vllm, not one of transformers"),
        ("[backend.transformers]\nx = 2024-01-01", "backend = .*: expected a table of options per backend"),
        ("trust_remote_code = true", "trust_remote_code: a sweep file cannot allow a model's own code to run"),
        ("[backend.transformers]\nTrust-Remote-Code = true", "only the flag --trust-remote-code can allow"),
        ("[backend.transformers.hf]\ntrust_remote_code = 1", "only the flag --trust-remote-code can allow"),
        ("[backend.transformers.hf]\nApi-Key = 'sk-9'", "transformers.hf.Api-Key: a key or password given here"),
        ("draft_lengths = ", "not a TOML file: Invalid value"),
        ("seed = '" + "9" * 5000 + "'", "seed = '9999999999"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_file_key_and_expectation(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        load(path, {})
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("draft_lengths", "0", "-k '0': expected draft lengths of at least 1"),
        ("draft_lengths", "1,,2", "-k '1,,2': expected"),
        ("batch_sizes", "x", "-B 'x': expected batch sizes"),
        ("time_budget", "soon", "--time-budget 'soon': expected how long"),
        ("backend", ["vllm.x=1"], "-o: options for vllm, not one of transformers"),
        ("backend", ["x=1"], "-o x=1: expected BACKEND.option=value"),
        ("backend", ["transformers.trust_remote_code=true"], "-o: transformers.trust_remote_code: only the flag"),
    ],
)
def test_a_mistake_in_a_flag_names_the_flag(tmp_path: Path, flag: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        load(written(tmp_path, ""), {flag: value})


SECRET = "sk-9f3b-never-to-be-seen"


@pytest.mark.parametrize(
    "option",
    [
        f"openai.api_key={SECRET}",
        f"openai.key={SECRET}",
        f"openai.OPENAI_API_KEY={SECRET}",
        f"vllm.hf-token={SECRET}",
        f'openai.headers={{Authorization = "Bearer {SECRET}"}}',
        f'sglang.servers=["http://me:{SECRET}@127.0.0.1:1"]',
    ],
)
def test_a_key_is_refused_before_anything_of_it_is_stored(tmp_path: Path, option: str) -> None:
    backends = ["openai", "vllm", "sglang"]
    with pytest.raises(UsageError, match=r"^-o: .*would be stored with the run; put it into an environment") as caught:
        load(written(tmp_path, ""), {"backends": backends, "backend": [option]})
    assert option.partition("=")[0].partition(".")[2] in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_sweep_made_in_python_holds_no_key_either() -> None:
    with pytest.raises(UsageError, match=r"^openai\.api_key: ") as caught:
        Sweep(backends=("openai",), backend={"openai": {"api_key": SECRET}})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        "vllm.max_num_batched_tokens=512",
        "vllm.hf_overrides={eos_token_id = 3}",
        "openai.key_env=MY_KEY",
        "openai.url=http://127.0.0.1:8000/v1",
        "sglang.long_prefill_token_threshold=8",
    ],
)
def test_options_that_only_look_like_a_key_are_taken(tmp_path: Path, option: str) -> None:
    sweep = load(written(tmp_path, ""), {"backends": ["openai", "vllm", "sglang"], "backend": [option]})
    assert [*sweep.backend] == [option.partition(".")[0]]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.toml: no such sweep file"):
        load(tmp_path / "nothing.toml", {})
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path, {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not a TOML file"):
        load(tmp_path / "binary", {})


def test_without_a_file_the_demo_pair_comes_with_its_own_sweep_and_other_pairs_do_not() -> None:
    for flags in ({}, {"pairs": ["demo"]}):
        demo = load(None, {**flags, "draft_lengths": "2"})
        assert (demo.name, demo.pairs, demo.workloads, demo.dtype) == ("demo", ("demo",), ("demo",), "float32")
        assert demo.draft_lengths == (2,)
        assert demo.time_budget is not None
        assert demo.time_budget <= 180
    assert load(None, {}).repeats == 1
    assert load(None, {"time_budget": "5m"}).repeats is None
    assert load(None, {"precision": "1%", "repeats": "4"}).repeats == 4
    other = load(None, {"pairs": ["owner/target:owner/drafter"]})
    assert (other.name, other.dtype, other.workloads, other.time_budget) == ("run", "auto", ("mixed",), None)


def test_the_demo_looks_at_the_reference_engine_at_batch_1_and_4_beside_transformers() -> None:
    demo = load(None, {})
    assert demo.backends == ("reference", "transformers")
    assert demo.of("reference").batch_sizes == (1, 4)
    assert demo.of("transformers") == demo
    assert (demo.batch_sizes, demo.draft_lengths, demo.prompt_tokens) == ((1,), (1, 2, 3, 4, 5, 6), (64, 256))


def test_flags_hold_for_a_backend_that_is_asked_for_less_too() -> None:
    asked = load(None, {"draft_lengths": "3", "batch_sizes": "2", "prompts": "9"})
    assert asked.of("reference").draft_lengths == (3,)
    assert asked.of("reference").batch_sizes == (2,)
    assert asked.of("reference").prompt_tokens == (64,)
    assert asked.only["reference"].prompts == load(None, {}).only["reference"].prompts  # at most
    assert not load(None, {"backends": "transformers"}).only
    assert not load(None, {"backends": ["reference", "transformers"]}).only
    assert load(None, {"time_budget": "5m"}).only
    assert load(None, {"speed": False}).backends == ("transformers",)


def test_a_table_for_one_backend_says_what_it_alone_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, 'backends = ["a", "b"]\n[only.b]\ndraft_lengths = "2-3"\nprompt_tokens = "own"')
    sweep = load(path, {"batch_sizes": "2"})
    assert sweep.of("a").draft_lengths == Sweep().draft_lengths
    assert (sweep.of("b").draft_lengths, sweep.of("b").prompt_tokens, sweep.of("b").batch_sizes) == (
        (2, 3),
        (None,),
        (2,),
    )
    assert from_manifest(json.loads(json.dumps(sweep.describe())), {}, path) == sweep


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[only.other]\nprompts = 1", "only: a table for other, not one of transformers"),
        ("[only.transformers]\nbatch_sizes = 0", r"only = .*: expected a table per backend, \[only.NAME\], of which"),
        ("[only.transformers]\nbatches = 1", "only = .*: expected a table per backend"),
        ("only = 3", "only = 3: expected a table per backend"),
    ],
)
def test_a_table_that_is_wrong_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load(written(tmp_path, text), {})


def test_a_sweep_comes_back_from_its_manifest_the_same() -> None:
    sweep = Sweep(prompt_tokens=(None, 64), time_budget=30.0, backend={"transformers": {"a": [1, {"b": None}]}})
    stored = json.loads(json.dumps(sweep.describe()))
    assert from_manifest(stored, {}, Path("run.sqlite")) == sweep


def test_a_manifest_grants_no_remote_code_and_takes_only_other_limits() -> None:
    stored = Sweep(trust_remote_code=True).describe()
    assert not from_manifest(stored, {}, Path("x")).trust_remote_code
    assert from_manifest(stored, {"trust_remote_code": True, "repeats": "3"}, Path("x")).repeats == 3
    with pytest.raises(UsageError, match="-k: a resumed run keeps its sweep"):
        from_manifest(stored, {"draft_lengths": "3"}, Path("x"))


def test_a_manifest_without_a_sound_sweep_is_refused() -> None:
    with pytest.raises(RunFileError, match="holds no sweep"):
        from_manifest(None, {}, Path("x"))
    with pytest.raises(UsageError, match="x: draft_lengths = 0: expected"):
        from_manifest({"draft_lengths": 0}, {}, Path("x"))


def test_every_key_says_what_it_expects() -> None:
    assert all(field.description for field in Sweep.model_fields.values())


# ------------------------------------------------------------------------------------------------------ ablations


def test_parts_to_take_away_become_methods_beside_mtp(tmp_path: Path) -> None:
    assert load(None, {"ablate": ["centroids"]}).methods == ("mtp", "mtp-full-softmax")
    given = {"ablate": ["activations,shared-kv", "activations"], "methods": ["prompt-lookup"]}
    assert load(None, given).methods == ("prompt-lookup", "mtp", "mtp-no-activations", "mtp-own-prefill")
    path = written(tmp_path, 'methods = ["mtp", "draft-model"]')
    assert load(path, {"ablate": "centroids"}).methods == ("mtp", "draft-model", "mtp-full-softmax")


@pytest.mark.parametrize(("part", "hint"), [("centroid", "did you mean centroids"), ("experts", "there are centroids")])
def test_a_part_that_mtp_does_not_have_is_refused_with_those_it_has(part: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"--ablate {part}: no part of MTP: {hint}"):
        load(None, {"ablate": [part]})


def test_a_resumed_run_gets_no_further_arms(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--ablate: a resumed run keeps its sweep"):
        from_manifest(load(None, {}).describe(), {"ablate": ["centroids"]}, tmp_path)
