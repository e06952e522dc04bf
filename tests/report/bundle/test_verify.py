"""Bundles: they verify wherever they go, and every kind of tampering is named."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stbench.cli.app import app
from stbench.errors import UserError
from stbench.files import file_hash
from stbench.report.bundle.manifest import LARGEST_FILE, NAME, files_in, read_manifest, write_manifest
from stbench.report.bundle.pack import pack, remake
from stbench.report.bundle.verify import verify
from stbench.report.collect.records import collect
from stbench.report.produce import Format
from stbench.schema import Failure
from stbench.schema.folder import RunFolder
from tests.report.runs import block, make_run, make_spec, noisy, write_samples

TEXTS = [Format.MD, Format.CSV, Format.LATEX, Format.HTML]
RUN = make_spec("alpha", 0).folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods on two seeds, an untrained one and a failed one, as a bundle of texts."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for method, mean in (("alpha", 1.0), ("beta", 1.05)):
        for seed in range(2):
            record = make_run(root / "runs", make_spec(method, seed), noisy(rng, mean), macs=3)
            record.folder.write_history([{"epoch": 0, "train_seconds": 2.0, "val_mse_frame": mean, "train_loss": 1.0}])
            write_samples(record.folder)
            record.folder.checkpoints.joinpath("best-00001.safetensors").write_bytes(b"weights")
    make_run(root / "runs", make_spec("still", training=None), noisy(rng, 4.0), seconds_per_epoch=None)
    make_run(root / "runs", make_spec("gone"), failure=Failure(kind="crashed", reason="no | power"))
    pack(collect([root / "runs"]), [], root / "bundle", TEXTS)
    return root / "bundle"


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "elsewhere"))


def test_a_bundle_verifies_wherever_it_is(bundle: Path) -> None:
    verdict = verify(bundle)
    assert verdict.problems == ()
    assert (verdict.runs, verdict.scores) == (6, 5 * 2 * (1 + 3))
    assert verdict.cells > 200
    assert not list(bundle.rglob("checkpoints"))


def test_every_link_leads_to_something_in_the_bundle(bundle: Path) -> None:
    for name, pattern in (("report.md", r"\]\(([^)#]+)\)"), ("report.html", r'(?:href|src)="(?!data:)([^"#]+)"')):
        targets = set(re.findall(pattern, (bundle / name).read_text(encoding="utf-8")))
        assert {target for target in targets if target.startswith("runs/")}, name
        for target in targets:
            assert (bundle / unquote(target)).resolve().is_relative_to(bundle.resolve())
            assert (bundle / unquote(target)).exists(), f"{name} links to {target}"


def score_and_checksum(bundle: Path) -> None:
    """Tampering: another score in a result whose checksum fits it."""
    folder = RunFolder(bundle / "runs" / RUN)
    result = folder.result()
    score = result.test["mse_frame"].model_copy(update={"total": 1.0})
    folder.write_result(result.model_copy(update={"test": {**result.test, "mse_frame": score}}))


def replace(name: str, pattern: str, new: str) -> Callable[[Path], None]:
    """Tampering: the first match of a pattern in a document becomes something else."""

    def tamper(bundle: Path) -> None:
        text = (bundle / name).read_text(encoding="utf-8")
        changed = re.sub(pattern, new, text, count=1)
        assert changed != text
        (bundle / name).write_text(changed, encoding="utf-8")

    return tamper


def one_value(bundle: Path) -> None:
    file = bundle / "runs" / RUN / "per_sequence.parquet"
    frame = pd.read_parquet(file)
    frame.loc[5, "mse_frame"] *= 1 + 1e-5
    frame.to_parquet(file)


def one_sequence_less(bundle: Path) -> None:
    file = bundle / "runs" / RUN / "per_sequence.parquet"
    pd.read_parquet(file).iloc[3:].to_parquet(file)


TAMPERING = {
    "cell of the Markdown": (replace("report.md", r"\d\.\d{3} ±", "9.999 ±"), r"report.md: .*row 1 .*'mse_frame ↓'"),
    "mark of the Markdown": (replace("report.md", r" ≈", ""), r"report.md: .*≈"),
    "name of a row": (replace("report.md", r"\| beta", "| better"), r"report.md: .*'method': shows 'better'"),
    "interval in the CSV": (
        replace("summary.csv", r"(beta,mse_frame,(?:[^,]*,){5})", r"\g<1>1"),
        "summary.csv: .*'low'",
    ),
    "spread in the CSV": (replace("summary.csv", r"(alpha,mse_frame,[^,]*),", r"\1,1"), "summary.csv: .*'std'"),
    "score in the CSV": (
        replace("runs.csv", r"alpha,paper,0,mse_frame,1", "alpha,paper,0,mse_frame,2"),
        "runs.csv: .*'value'",
    ),
    "cell of the LaTeX": (replace("table.tex", r"\d\.\d{3} \$", r"9.999 $"), "table.tex: "),
    "cell of the page": (replace("report.html", r"\d\.\d{3} ± ", "9.999 ± "), "report.html: .*alpha"),
    "interval of the page": (
        replace("report.html", r"95 % interval ", "95 % interval 7"),
        "report.html: .*95 % interval 7",
    ),
    "curve of the page": (replace("report.html", r'"low":\[', '"low":[7,'), "report.html: data of the charts"),
    "score of a run": (replace(f"runs/{RUN}/result.json", r'"total": ', '"total": 1'), f"{RUN}: .*was changed after"),
    "score of a run and its checksum": (
        score_and_checksum,
        f"{RUN}: result.json: mse_frame is ",
    ),
    "setting of a run": (replace(f"runs/{RUN}/spec.yaml", "lr: 0.001", "lr: 0.002"), f"{RUN}.*spec.yaml describes"),
    "one value of a sequence": (one_value, f"{RUN}: result.json: mse_frame at lead time 3 is "),
    "one sequence less": (one_sequence_less, f"{RUN}: result.json: its scores cannot be made again"),
    "a run less": (lambda bundle: shutil.rmtree(bundle / "runs" / RUN), "report.md: .*the runs give"),
    "another picture": (lambda bundle: (bundle / "x.png").touch(), "x.png: the runs give no such file"),
    "another file": (lambda bundle: (bundle / "extra.txt").touch(), "extra.txt: the runs give no such file"),
}


@pytest.mark.slow
def test_numbers_of_figures_are_made_again(made: Path, tmp_path: Path) -> None:
    pack(collect([made / "runs"]), [], tmp_path / "b", list(Format))
    assert verify(tmp_path / "b").problems == ()
    assert list((tmp_path / "b").glob("figures/*.gif"))
    replace("figures/1-toy-paper-lead-time.csv", r"(?m)(,1,)", r"\g<1>7")(tmp_path / "b")
    write_manifest(tmp_path / "b", "0")
    (problem,) = verify(tmp_path / "b").problems
    assert re.search(r"lead-time.csv: row \d \(alpha\), column 'mean': shows '7", problem)


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_named_even_if_the_hashes_are_made_to_fit(kind: str, bundle: Path) -> None:
    tamper, expected = TAMPERING[kind]
    tamper(bundle)
    (bundle / NAME).unlink()
    write_manifest(bundle, "0")
    problems = verify(bundle).problems
    assert any(re.search(expected, problem) for problem in problems), problems


def test_blocks_that_a_report_would_read_are_named_and_not_believed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 10)
    made = tmp_path / "made"
    pack(collect([bundle / "runs"]), [], made, TEXTS)
    assert verify(made).problems == ()
    (record,) = collect([made / "runs" / RUN]).records
    file = block(record)
    table = pq.read_table(file)
    column = table.schema.names.index("mse_frame")
    pq.write_table(table.set_column(column, "mse_frame", pc.multiply(table["mse_frame"], 2.0)), file)
    remake(made, TEXTS)
    (made / NAME).unlink()
    write_manifest(made, "0")
    problems = verify(made).problems
    for expected in (f"{RUN}/sequence_blocks.parquet: a bundle holds no blocks", "summary.csv: .*'low'"):
        assert any(re.search(expected, problem) for problem in problems), problems


def test_every_file_is_covered_by_its_hash(bundle: Path) -> None:
    """One byte changed in each file in turn: its line names it. Files are compared without a whole verification."""
    from stbench.report.bundle.manifest import changed_files

    manifest = read_manifest(bundle)
    assert set(manifest.files) == set(files_in(bundle)) - {NAME}
    for name in manifest.files:
        path = bundle / name
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert [line.partition(":")[0] for line in changed_files(bundle, manifest)] == [name]
        path.write_bytes(content)
    (bundle / "report.md").unlink()
    assert changed_files(bundle, manifest) == ["report.md: missing"]


def test_the_command_names_what_differs_and_leaves_with_one(bundle: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(bundle)])
    assert done.exit_code == 0, done.output
    assert "0 differences" in done.output
    replace("report.md", r"\d\.\d{3} ±", "9.999 ±")(bundle)
    done = CliRunner().invoke(app, ["verify", str(bundle)])
    assert done.exit_code == 1
    assert "report.md: SHA-256" in done.output
    assert "column 'mse_frame ↓': shows '[" in done.output


def entry(**changes: object) -> dict[str, object]:
    return {"bytes": 1, "sha256": "0" * 64, **changes}


BAD = {
    "outside": ({"../secret": entry()}, "lies outside"),
    "absolute": ({"/etc/passwd": entry()}, "lies outside"),
    "not plain": ({"runs//x": entry()}, "no plain path"),
    "itself": ({NAME: entry()}, "no plain path"),
    "huge file": ({"a": entry(bytes=1 << 40)}, "at most"),
    "many files": ({f"f{number}": entry() for number in range(4)}, "at most"),
    "no hash": ({"a": entry(sha256="x")}, "sha256"),
    "climbs": ({"runs/../../x": entry()}, "lies outside"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_hostile_manifest_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stbench.report.bundle.manifest.MOST_FILES", 3)
    files, message = BAD[kind]
    (tmp_path / NAME).write_text(json.dumps({"version": 1, "stbench": "0", "files": files}))
    with pytest.raises(UserError, match=message):
        verify(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"version": 2}', "\x00"], ids=range(5))
def test_a_torn_manifest_is_a_mistake(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    done = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert isinstance(done.exception, UserError)


def test_a_folder_without_a_manifest_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a bundle"):
        verify(tmp_path)


@pytest.mark.parametrize("place", ["runs/link", "link"])
def test_links_out_of_a_bundle_are_refused(place: str, bundle: Path) -> None:
    (bundle / place).symlink_to("/etc")
    with pytest.raises(UserError, match="is a link"):
        verify(bundle)


def test_a_file_larger_than_listed_is_refused_unread(bundle: Path) -> None:
    with (bundle / "report.md").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)  # a hole: no bytes on the disk
    with pytest.raises(UserError, match="at most"):
        verify(bundle)


def test_a_file_of_values_that_unpacks_to_gigabytes_is_not_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stbench.report.bundle.scores.LARGEST_TABLE", 100)
    assert any("its scores cannot be made again" in line for line in verify(bundle).problems)


def test_names_in_a_hostile_bundle_are_shown_not_obeyed(bundle: Path) -> None:
    (bundle / "\x1b[31m[bold]x").write_text("x")
    done = CliRunner().invoke(app, ["verify", str(bundle)])
    assert done.exit_code == 1
    assert "\x1b" not in done.output
    assert "\\x1b[31m[bold]x: not listed" in done.output


def test_a_bundle_is_made_again_in_its_place(bundle: Path) -> None:
    (bundle / "README.md").write_text("The command.\n")
    (bundle / "stale.csv").write_text("x")
    before = {name: file_hash(path) for name, path in files_in(bundle / "runs").items()}
    done = CliRunner().invoke(app, ["report", str(bundle), "--bundle", "--out", str(bundle), "--format", "md,csv"])
    assert done.exit_code == 0, done.output
    assert {name: file_hash(path) for name, path in files_in(bundle / "runs").items()} == before
    names = {path.name for path in bundle.iterdir()}
    assert names == {"README.md", NAME, "report.md", "runs.csv", "summary.csv", "runs"}
    assert verify(bundle).problems == ()


def test_weights_travel_on_request(made: Path, tmp_path: Path) -> None:
    pack(collect([made.parent / "runs"]), [], tmp_path / "b", [Format.CSV], weights=True)
    assert len(list((tmp_path / "b").glob("runs/*/checkpoints/best-*.safetensors"))) == 4
    assert verify(tmp_path / "b").problems == ()


def test_a_folder_with_other_things_is_not_replaced(made: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"is no bundle and holds thesis\.tex"):
        pack(collect([made.parent / "runs"]), [], tmp_path, TEXTS)
    assert (tmp_path / "thesis.tex").is_file()


def test_blocks_of_sequences_stay_behind(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 10)
    run = shutil.copytree(made.parent / "runs" / RUN, tmp_path / RUN)
    (record,) = collect([run]).records
    assert block(record).exists()
    pack(collect([run]), [], tmp_path / "b", TEXTS)
    assert not list((tmp_path / "b").rglob("sequence_blocks.parquet"))
    assert verify(tmp_path / "b").problems == ()


def test_a_run_without_values_is_not_bundled(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made.parent / "runs" / RUN, tmp_path / RUN)
    (run / "per_sequence.parquet").unlink()
    with pytest.raises(UserError, match="nothing could be verified"):
        pack(collect([run]), [], tmp_path / "b", TEXTS)
    assert not (tmp_path / "b").exists()
