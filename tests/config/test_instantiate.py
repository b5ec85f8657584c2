import pytest
import torch

from src.config.instantiate import build_components, build_trainer, check_settings, factory, stack
from src.losses.ce import CrossEntropy
from src.metrics.predictions import seed_networks
from src.models.mlp import MLP
from src.utils.validation import SettingsError


def build_all(config):
    return build_components(config, stack(config))


def test_stack_crosses_the_seeds_that_are_given(settings):
    assert [member.seed for member in stack(settings("seed=0"))] == [0]
    assert [member.seed for member in stack(settings("seed=[3,1]"))] == [3, 1]
    crossed = stack(settings("seed=[3,1]", "seeds.data=[5,6]", "seeds.init=7"))
    assert [(member.seed, member.data, member.split, member.init, member.shuffle) for member in crossed] == [
        (3, 5, 3, 7, 3),
        (3, 6, 3, 7, 3),
        (1, 5, 1, 7, 1),
        (1, 6, 1, 7, 1),
    ]


def test_build_fits_the_network_to_distribution_and_objective(settings):
    parts = build_all(settings("classes=5", "model.hidden=[7]", "seed=[4,9]"))
    assert isinstance(parts.objective, CrossEntropy)
    assert [tuple(parameter.shape) for parameter in parts.network.parameters()] == [
        (2, 2, 7),
        (2, 1, 7),
        (2, 7, 5),
        (2, 1, 5),
    ]
    assert [streams.seed for streams in parts.datamodule.streams] == [4, 9]


def test_pinned_stream_is_shared_and_the_others_follow_the_seed(settings):
    parts = build_all(settings("seeds.init=7", "seed=[1,2]"))
    first, second = (parameter.detach() for parameter in next(iter(parts.network.parameters())))
    assert torch.equal(first, second)
    parts.datamodule.setup()
    assert not torch.equal(parts.datamodule.train.x[0], parts.datamodule.train.x[1])


def test_population_metrics_are_computed_on_the_cpu_where_the_device_fails(settings):
    parts = build_all(settings("seed=[0,1]"))
    expected = [parts.population.metrics(network) for network in seed_networks(parts.network, range(2))]
    parts.classifier.trained_on = torch.device("meta")  # from which nothing can be read
    assert [parts.population_metrics(index) for index in range(2)] == expected


@pytest.mark.parametrize("data", ["noisy_cubic", "xor"])
def test_a_seed_whose_network_raises_has_no_population_metrics(data, settings, monkeypatch):
    parts, forward = build_all(settings(f"data={data}", "seed=[0,1,2]")), MLP.forward
    expected = [parts.population.metrics(network) for network in seed_networks(parts.network, range(3))]
    next(parts.network.parameters()).data[1, 0, 0] = torch.inf

    def raises(self, x):
        if next(self.parameters()).isinf().any():
            raise ValueError("infinite weights")
        return forward(self, x)

    monkeypatch.setattr(MLP, "forward", raises)
    for index in (0, 2):
        assert parts.population_metrics(index) == expected[index]
    with pytest.raises(ValueError, match=r"^infinite weights$"):
        parts.population_metrics(1)


def test_optimizer_takes_its_settings_from_the_group(settings):
    classifier = build_all(settings("optimizer=sgd", "optimizer.lr=0.25")).classifier
    classifier.configure_model()
    optimizer = classifier.configure_optimizers().optimizer
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["lr"] == 0.25


def test_trainer_passes_settings_through(settings):
    trainer = build_trainer(settings("trainer.max_epochs=7", "+trainer.max_steps=3", "trainer.precision=64-true"), [])
    assert (trainer.max_epochs, trainer.max_steps, trainer.precision) == (7, 3, "64-true")


@pytest.mark.parametrize(
    ("override", "name", "words"),
    [
        ("+data.colour=red", "data.colour", "NoisyCubic has no such setting"),
        ("+optimizer.betas=[2,0.9]", "optimizer", "Invalid beta parameter"),
        ("+trainer.sparkle=1", "trainer.sparkle", "no such setting of lightning.Trainer"),
        ("+trainer.gradient_clip_val=-1", "trainer.gradient_clip_val", "above 0"),
        ("model._target_=src.models.mlp.Missing", "model._target_", "can be imported"),
        ("model._target_=os.getcwd", "model._target_", "in src.models"),
        ("+model.inner={_target_:os.getcwd}", "model.inner._target_", "os.getcwd"),
        ("export._target_=os.getcwd", "export._target_", "os.getcwd"),
        ("seeds.split=half", "seeds.split", "a whole number"),
    ],
)
def test_bad_settings_name_themselves(settings, override, name, words):
    with pytest.raises(SettingsError) as caught:
        check_settings(settings(override))
    [problem] = caught.value.problems
    assert problem.name == name
    assert words in str(problem)
    assert "\n" not in str(problem)


def test_targets_are_refused_before_anything_is_called(tmp_path):
    settings = {"_target_": "pathlib.Path.touch", "self": str(tmp_path / "made")}
    with pytest.raises(SettingsError, match=r"loss\._target_"):
        factory({"loss": settings}, "loss")
    assert not (tmp_path / "made").exists()


def test_checking_settings_leaves_global_random_numbers_alone(settings):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    check_settings(settings())
    assert torch.equal(torch.rand(3), expected)
