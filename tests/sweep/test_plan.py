"""How a request becomes run specs: layers of settings, their origins, and rejected requests."""

from collections.abc import Callable

import pytest
import torch

from stbench.errors import UserError
from stbench.nn import METHODS, Method, MethodConfig
from stbench.schema import Benchmark, ClipShape, RunSpec
from stbench.settings import parse_override
from stbench.sweep.plan import Request, make_plan


def request(*methods: str, **changes: object) -> Request:
    return Request(**{"methods": methods or ("tau",), "benchmark": "taxinyc", "protocol": "quick", **changes})


def test_baselines_come_first_and_once_per_plan() -> None:
    plan = make_plan(request("tau", "convlstm", "tau", seeds=(0, 1)))
    assert [(s.method, s.seed) for s in plan.specs] == [
        ("persistence", 0),
        ("climatology", 0),
        ("tau", 0),
        ("tau", 1),
        ("convlstm", 0),
        ("convlstm", 1),
    ]
    assert [spec.training for spec in plan.specs[:2]] == [None, None]


def test_order_of_precedence_and_origins() -> None:
    overrides = [parse_override(t) for t in ("tau.lr=1e-3", "tau.hid_t=96", "schedule.kind=constant")]
    plan = make_plan(request("tau:no_sa", training={"epochs": 2}, overrides=overrides))
    spec = plan.specs[-1]
    assert spec.training is not None
    assert (spec.training.lr, spec.training.epochs, spec.training.schedule.kind) == (1e-3, 2, "constant")
    assert spec.config["hid_t"] == 96
    assert spec.config["statical_attention"] is False
    assert spec.origins["training.lr"] == "--set"
    assert spec.origins["training.epochs"] == "--epochs"
    assert spec.origins["training.batch_size"] == "fragment traffic protocol paper"  # quick extends it
    assert spec.origins["training.train_clips"] == "fragment traffic protocol quick"
    assert spec.origins["training.accumulate"] == "stbench default"
    assert spec.origins["config.n_t"] == "preset of tau"
    assert spec.origins["dataset.block"] == "taxinyc"
    assert spec.origins["config.statical_attention"] == "variant in 'tau:no_sa'"
    assert spec.origins["config.ddr_weight"] == "method default"


def test_set_on_a_variant_reaches_that_variant_only() -> None:
    overrides = [parse_override("tau:no_sa.lr=0.5")]
    plan = make_plan(request("tau", "tau:no_sa", overrides=overrides))
    rates = {s.method: s.training.lr for s in plan.specs if s.training}
    assert rates["tau:no_sa"] == 0.5
    assert rates["tau"] != 0.5


def test_nested_training_keys_of_one_method() -> None:
    overrides = [parse_override("tau.schedule.warmup=0.2"), parse_override("tau.optimizer.betas=[0.8, 0.9]")]
    specs = make_plan(request("tau", "convlstm", overrides=overrides)).specs
    tau, other = (next(s for s in specs if s.method == name).training for name in ("tau", "convlstm"))
    assert (tau.schedule.warmup, tau.optimizer.betas) == (0.2, (0.8, 0.9))
    assert (other.schedule.warmup, other.optimizer.betas) == (0.3, (0.9, 0.999))


def test_inline_values_make_a_variant() -> None:
    spec = make_plan(request("tau:hid_t=48")).specs[-1]
    assert (spec.method, spec.plugin, spec.config["hid_t"]) == ("tau:hid_t=48", "tau", 48)


def test_sections_reach_dataset_and_evaluation() -> None:
    overrides = [parse_override(t) for t in ("dataset.train_clips=32", "evaluation.val_clips=8")]
    spec = make_plan(request("tau", benchmark="moving_digits", overrides=overrides)).specs[-1]
    assert spec.dataset.options["train_clips"] == 32
    assert spec.evaluation.val_clips == 8
    assert spec.origins["dataset.train_clips"] == "--set"


def test_latitudes_are_part_of_a_run_that_has_some() -> None:
    overrides = [parse_override("evaluation.latitudes=[60, 50]"), parse_override("evaluation.metrics=[rmse_latitude]")]
    spec = make_plan(request(overrides=overrides)).specs[-1]
    assert spec.evaluation.latitudes == (60.0, 50.0)
    assert "latitudes" in spec.evaluation.model_dump()
    assert "latitudes" not in make_plan(request()).specs[-1].evaluation.model_dump()  # older runs keep their names


def test_run_id_follows_what_decides_the_numbers() -> None:
    base = make_plan(request()).specs[-1]
    same = make_plan(request(training={"epochs": base.training.epochs if base.training else 0})).specs[-1]
    other = make_plan(request(training={"epochs": 99})).specs[-1]
    seeded = make_plan(request(seeds=(1,))).specs[-1]
    assert same.origins != base.origins
    assert same.run_id == base.run_id
    assert len({base.run_id, other.run_id, seeded.run_id}) == 3
    assert base.folder.startswith("taxinyc-quick-tau-s0-")


def test_the_shared_encoder_concerns_what_is_trained() -> None:
    plan = make_plan(request("climatology", "linear", "tau", encoder="shared"))
    assert [(spec.method, spec.encoder) for spec in plan.specs][1:] == [
        ("climatology", "paper"),
        ("linear", "paper"),
        ("tau", "shared"),
    ]
    with pytest.raises(UserError, match="--encoder shared: mau has no shared"):
        make_plan(request("mau", encoder="shared"))


def test_shared_encoder_is_the_same_for_all() -> None:
    plan = make_plan(request("tau", "convlstm", "predrnn", "phydnet", encoder="shared", benchmark="taxibj"))
    trained = [s for s in plan.specs if s.training]
    assert {(s.encoder, s.config["encoder"], s.config["hid_s"], s.config["n_s"]) for s in trained} == {
        ("shared", "shared", plan.protocol.shared_encoder.hid_s, plan.protocol.shared_encoder.n_s)
    }
    assert plan.specs[0].encoder == "paper"


def test_legacy_selects_on_test() -> None:
    assert {s.selection for s in make_plan(request(protocol="legacy")).specs} == {"test"}
    assert {s.selection for s in make_plan(request(protocol="paper")).specs} == {"validation"}


def test_a_method_may_skip_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(Method):
        @classmethod
        def skip(cls, benchmark: Benchmark) -> str | None:
            return f"needs 3 channels, {benchmark.name} has {benchmark.shape.channels}"

    monkeypatch.setitem(METHODS._loaded, "picky", Picky)
    plan = make_plan(request("picky"))
    assert plan.skipped == {"picky": "needs 3 channels, taxinyc has 2"}


def test_value_range_switches_the_sigmoid_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from stbench.sweep import plan as module

    scores = module.load_benchmark("taxinyc").model_copy(update={"value_range": None})
    monkeypatch.setattr(module, "load_benchmark", lambda name: scores)
    spec = make_plan(request("phydnet")).specs[-1]
    assert spec.config["output_activation"] == "none"
    assert "value range" in spec.origins["config.output_activation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("tua",)}, "Unknown method 'tua'. Did you mean 'tau'?"),
        ({"benchmark": "taxinic"}, "Unknown benchmark 'taxinic'. Did you mean 'taxinyc'?"),
        ({"protocol": "quik"}, "Unknown protocol of taxinyc 'quik'. Did you mean 'quick'?"),
        ({"methods": ("tau:no_sx",)}, "Unknown variant of 'tau' 'no_sx'. Did you mean 'no_sa'?"),
        ({"overrides": [("tau.hid_tt", "3")]}, "unknown key 'hid_tt'. Did you mean 'hid_t'?"),
        ({"overrides": [("epoch", "3")]}, "Unknown key in --set 'epoch'. Did you mean 'epochs'?"),
        ({"overrides": [("training.stepz", "4")]}, "Unknown key of training in --set 'stepz'. Did you mean 'steps'?"),
        ({"overrides": [("shape.t_in", "2")]}, "--set shape.t_in=2: a run keeps the shape of its protocol"),
        ({"overrides": [("tau.lrr", "2")]}, "unknown key 'lrr'. Did you mean 'lr'?"),
        ({"overrides": [("dataset.split.test_fractio", "2")]}, "(--set). Did you mean 'test_fraction'?"),
        ({"overrides": [("schedule.warmu", "2")]}, "unknown key 'schedule.warmu' (--set). Did you mean 'warmup'?"),
        ({"overrides": [("metrics", "[psnr]")]}, "Use --set evaluation.metrics=[psnr]."),
        ({"overrides": [("ta.lr", "3")]}, "Unknown method in --set 'ta'. Did you mean 'tau'?"),
        ({"overrides": [("tau.hid_t", "many")]}, "hid_t = 'many'"),
        ({"overrides": [("tau.lr", "[1")]}, "--set tau.lr=[1: cannot read the value"),
        ({"overrides": [("epochs", "3"), ("epochs.x", "4")]}, "'epochs' was set to a plain value before"),
        ({"overrides": [("tau.lr", ".inf")]}, "lr = inf"),
        ({"overrides": [("optimizer.betas", "[0.9, 2]")]}, "less than 1"),
        ({"overrides": [("evaluation.metrics", "[]")]}, "metrics = []"),
        ({"overrides": [("accumulate", "3")]}, "training of 'tau': batch_size 16 is not a multiple of accumulate 3"),
        ({"overrides": [("tau.lr", "-1")]}, "lr = -1"),
        ({"overrides": [("evaluation.metrics", "[mse]")]}, "Unknown metric 'mse'. Did you mean 'mse_frame'?"),
        ({"overrides": [("evaluation.metrics", "[rmse_latitude]")]}, "latitudes of the rows are not known"),
        ({"overrides": [("evaluation.latitudes", "[91, 0]")]}, "latitudes.0 = 91"),
        ({"methods": ("tau:",)}, "Method 'tau:': a part beside a colon is empty"),
        ({"overrides": [("tau.mlp_ratio", "0.001")]}, "mlp_ratio = 0.001"),
        ({"overrides": [("tau.n_s", "12")]}, "does not divide by 64"),
    ],
)
def test_refusals_name_the_value_and_the_near_miss(change: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        make_plan(request(**change) if "methods" not in change else request(*change["methods"]))
    assert message in str(error.value)


def test_a_plan_takes_no_memory_for_the_methods_it_looks_at() -> None:
    spec = make_plan(request("tau:hid_t=10000000")).specs[-1]  # 400 TB of weights
    assert spec.training is not None
    assert spec.config["hid_t"] == 10_000_000


def test_a_constructor_that_reads_values_is_planned_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reads(Method):
        def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
            super().__init__(shape, config)
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.start = float(self.scale.detach().sum())

    monkeypatch.setitem(METHODS._loaded, "reads", Reads)
    assert make_plan(request("reads")).specs[-1].training is not None


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("dataset.augment.crop", "0.9", lambda spec: spec.dataset.options["augment"]["crop"]),
        ("training.schedule.warmup_lr", "0.2", lambda spec: spec.training.schedule.warmup_lr),
        ("schedule.warmup_lr", "0.2", lambda spec: spec.training.schedule.warmup_lr),
        ("tau.schedule.warmup_lr", "0.2", lambda spec: spec.training.schedule.warmup_lr),
        ("tau.training.lr", "0.3", lambda spec: spec.training.lr),
        ("tau.config.hid_t", "48", lambda spec: spec.config["hid_t"]),
        ("evaluation.batch_size", "3", lambda spec: spec.evaluation.batch_size),
    ],
)
def test_dotted_keys_reach_every_nested_field(key: str, text: str, found: Callable[[RunSpec], object]) -> None:
    spec = make_plan(request("tau", benchmark="human", overrides=[parse_override(f"{key}={text}")])).specs[-1]
    assert found(spec) == float(text)


def test_profiles_may_change_the_shape() -> None:
    plan = make_plan(request(overrides=[("shape.height", "32")], free_shape=True))
    assert {spec.shape.height for spec in plan.specs} == {32}


class Scaled(Method):
    """A third party's method."""

    class Config(MethodConfig):
        width: int = 1
        depth: int = 1

    presets = {
        "paper": {
            "*": {"config": {"width": 2}, "training": {"epochs": 70, "lr": 0.5}},
            "traffic": {"config": {"width": 3}},
            "taxinyc": {"training": {"lr": 0.25}},
        },
        "quick": {"*": {"config": {"depth": 5}}},
    }

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.scale = torch.nn.Parameter(torch.ones(()))


def test_presets_of_a_third_party_reach_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key "*", then the family, then the name; a preset for paper does not lengthen the quick that extends it."""
    monkeypatch.setitem(METHODS._loaded, "scaled", Scaled)
    paper, quick = (make_plan(request("scaled", protocol=name)).specs[-1] for name in ("paper", "quick"))
    assert paper.training is not None
    assert quick.training is not None
    assert (paper.config, quick.config) == ({"width": 3, "depth": 1}, {"width": 3, "depth": 5})
    assert (paper.training.lr, quick.training.lr) == (0.25, 0.25)
    assert (paper.training.epochs, quick.training.epochs) == (70, 8)
    assert quick.origins["training.lr"] == "preset of scaled"
    assert quick.origins["training.epochs"] == "fragment traffic protocol quick"
    changed = make_plan(request("scaled", overrides=[parse_override("scaled.width=9")])).specs[-1]
    assert changed.config["width"] == 9
    elsewhere = make_plan(request("scaled", benchmark="moving_digits", protocol="paper")).specs[-1]
    assert elsewhere.config["width"] == 2


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        (
            {"paper": {"*": {"config": {"widht": 1}}}},
            "protocol 'paper', '*', config: unknown key 'widht'",
        ),
        (
            {"quick": {"video": {"training": {"lrr": 1}}}},
            "'video', training: unknown key 'lrr'. Did you mean 'lr'?",
        ),
        ({"quick": {"video": {"confg": {}}}}, "'quick', 'video': unknown key 'confg'. Did you mean 'config'?"),
        ({"paper": {"*": 3}}, "expected a mapping of keys, found 3"),
        ({"paper": {"*": {"config": {"width": "x"}}}}, "width = 'x'"),
    ],
)
def test_a_wrong_preset_is_one_error_that_names_it(
    presets: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS._loaded, "scaled", type("Broken", (Scaled,), {"presets": presets}))
    with pytest.raises(UserError) as error:
        make_plan(request("scaled", protocol="paper"))
    assert message in str(error.value)
    assert "preset of scaled" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["tau.lr", "=3", "", "tau.=", "tau.=3", ".lr=3", "tau..lr=3"])
def test_override_without_value(text: str) -> None:
    with pytest.raises(UserError, match="expected KEY=VALUE"):
        parse_override(text)
