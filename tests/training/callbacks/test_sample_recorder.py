"""The recorder against a per-sample loop, over resumes, ranks and missing truth, on a stand-in data module."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import EpochRecord, class_accuracy, measure
from noisy_lightning.runs.records import Records, load
from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder
from noisy_lightning.training.epoch_log import forget_later
from noisy_lightning.types import Batch, Step
from tests.ranks import on_two_ranks

N, K, B = 60, 4, 8
TRAIN = 56
STEPS = TRAIN // B
SAVES = {
    "mid-epoch": ("on_train_batch_end", STEPS + 3),
    "last batch": ("on_train_batch_end", 2 * STEPS),
    "validation after the last batch": ("on_validation_end", 2 * STEPS),
    "epoch end": ("on_train_epoch_end", 2 * STEPS),
}


class Loader:
    """Shuffles by epoch, shards by rank, and continues in mid-epoch."""

    def __init__(self, data: "Data", batch_size: int) -> None:
        self.data, self.batch_size = data, batch_size
        self.epoch = self.position = 0
        self.sampler = self  # Lightning calls sampler.set_epoch

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def __len__(self) -> int:
        return len(self.data.train_indices) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        trainer = self.data.trainer
        assert trainer is not None
        order = self.data.train_indices[
            torch.randperm(len(self.data.train_indices), generator=torch.Generator().manual_seed(self.epoch))
        ]
        while self.position < len(self):
            index = order[self.position * self.batch_size :][: self.batch_size]
            index = index[trainer.global_rank :: trainer.world_size]
            self.position += 1
            data = self.data
            yield Batch(data.images[index].float() / 255, data.labels[index], index, data.true_labels[index])
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class Data(L.LightningDataModule):
    def __init__(self, known: str = "all", batch_size: int = B) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.batch_size = batch_size
        self.images = torch.randint(0, 256, (N, 1, 3, 3), generator=generator, dtype=torch.uint8)
        truth = torch.arange(N) % K
        self.labels = torch.where(torch.rand(N, generator=generator) < 0.4, (truth + 1) % K, truth)
        self.true_labels = {"all": truth, "none": torch.full_like(truth, -1), "clean": self.labels.clone()}[known]
        self.class_names = [f"class {k}" for k in range(K)]
        self.train_indices = torch.arange(TRAIN)

    def epoch_labels(self, epoch: int) -> Tensor:
        return self.labels

    def train_images(self, indices: Tensor) -> Tensor:
        return self.images[indices]

    def train_dataloader(self) -> Loader:
        return Loader(self, self.batch_size)

    def val_dataloader(self) -> list[Tensor]:
        return [torch.zeros(1)]

    def write_noise_file(self, run: Path) -> None:
        lines = ["index,true_label,given_label,split"]
        for i, (true, given) in enumerate(zip(self.true_labels.tolist(), self.labels.tolist(), strict=True)):
            lines.append(f"{i},{'' if true < 0 else true},{given},{'train' if i < TRAIN else 'val'}")
        (run / "noise.csv").write_text("\n".join(lines) + "\n")


class Save(Checkpoint):
    """Saves once: in a hook, after a number of steps."""

    def __init__(self, path: Path, hook: str, step: int) -> None:
        self.path, self.step = path, step
        setattr(self, hook, self.save)

    def save(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


class Module(L.LightningModule):
    """Keeps what it did, sample by sample, for the tests to compare with."""

    def __init__(self, selects: bool = False, break_at: int | None = None, poison: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(9, K))
        self.selects, self.break_at, self.poison = selects, break_at, poison
        self.seen: dict[tuple[int, int], tuple[float, float, int, float, float]] = {}

    def on_train_start(self) -> None:
        forget_later(self.trainer)  # as NoisyClassifier does

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.global_step == self.break_at:
            raise InterruptedError
        logits = self.network(batch.image)
        losses = F.cross_entropy(logits, batch.label, reduction="none")
        kept = losses.detach() < losses.detach().median() if self.selects else None
        if self.poison is not None:
            losses = losses.detach().masked_fill(batch.index == self.poison, float("inf")) + 0 * losses
        self.last_step = Step(F.cross_entropy(logits, batch.label), losses, logits, kept)
        for i, index in enumerate(batch.index.tolist()):
            self.seen[self.current_epoch, index] = (
                losses[i].item(),
                logits[i].softmax(0)[batch.label[i]].item(),
                int(logits[i].argmax()),
                1.0 if kept is None else float(kept[i]),
                (logits[i, batch.label[i]] - max(logits[i, k] for k in range(K) if k != batch.label[i])).item(),
            )
        return self.last_step.loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/acc", torch.tensor(0.5))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)


def make_trainer(run: Path, **kwargs: Any) -> L.Trainer:
    defaults: dict[str, Any] = {
        "max_epochs": 3,
        "logger": False,
        "callbacks": [SampleRecorder()],
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
    }
    return L.Trainer(
        default_root_dir=run,
        accelerator="cpu",
        devices=kwargs.pop("devices", 1),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in kwargs.get("callbacks", [])),
        **(defaults | kwargs),
    )


def fit(run: Path, module: Module | None = None, data: Data | None = None, **kwargs: Any) -> tuple[Module, L.Trainer]:
    module, data = module or Module(), data or Data()
    run.mkdir(parents=True, exist_ok=True)
    data.write_noise_file(run)
    ckpt_path = kwargs.pop("ckpt_path", None)
    trainer = make_trainer(run, **kwargs)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    return module, trainer


def assert_equal_files(left: Path, right: Path) -> None:
    names = sorted(path.name for path in (left / "records").iterdir())
    assert names == sorted(path.name for path in (right / "records").iterdir())
    assert names
    for name in names:
        assert (left / "records" / name).read_bytes() == (right / "records" / name).read_bytes(), name


@pytest.mark.parametrize("selects", [False, True])
def test_table_equals_a_loop_over_samples(tmp_path, selects):
    module, _ = fit(tmp_path, Module(selects), limit_train_batches=4)
    records = load(tmp_path)
    assert records.epochs.tolist() == [0, 1, 2]
    assert (records.kept is not None) is selects
    for row, epoch in enumerate(records.epochs):
        for i in range(N):
            if (epoch, i) in module.seen:
                loss, confidence, prediction, kept, margin = module.seen[epoch, i]
                assert records.margin is not None
                assert records.margin[row, i] == pytest.approx(margin, rel=1e-3)
                assert records.loss[row, i] == np.float32(loss)
                assert records.confidence[row, i] == pytest.approx(confidence, rel=1e-3)
                assert records.prediction[row, i] == prediction
                assert records.kept is None or records.kept[row, i] == kept
            else:
                assert np.isnan(records.loss[row, i])
                assert np.isnan(records.confidence[row, i])
                assert records.prediction[row, i] == -1
                assert records.kept is None or np.isnan(records.kept[row, i])
        assert (records.prediction[row] >= 0).sum() == 4 * B


def test_measures_reach_callbacks_loggers_and_table(tmp_path):
    loggers = [CSVLogger(tmp_path, name="csv", version=""), TensorBoardLogger(tmp_path, name="", version="")]
    _, trainer = fit(tmp_path, Module(selects=True), logger=loggers)
    records = load(tmp_path)
    expected = measure(records.epoch(-1), records.labels, records.true_labels)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert logged == {f"train/{name}": pytest.approx(value, rel=1e-6) for name, value in expected.items()}
    assert {"loss", "loss_clean", "loss_noisy", "auroc", "memorised", "kept", "label_precision"} <= expected.keys()
    table = (tmp_path / "csv/metrics.csv").read_text().splitlines()
    rows = [dict(zip(table[0].split(","), line.split(","), strict=True)) for line in table[1:]]
    assert [int(row["step"]) for row in rows] == [1, 2, 3]
    assert float(rows[-1]["train/auroc"]) == pytest.approx(expected["auroc"])
    assert 0 <= float(rows[-1]["train_class/class_0"]) <= 1


@pytest.mark.parametrize("known", ["all", "none"])
def test_the_accuracy_of_a_class_is_on_true_labels_where_they_are_known(tmp_path, known):
    fit(tmp_path, data=Data(known), max_epochs=1, logger=CSVLogger(tmp_path, name="csv", version=""))
    records = load(tmp_path)
    reference = records.true_labels if known == "all" else records.labels
    assert known == "none" or (reference != records.labels).any()
    names, values = (line.split(",") for line in (tmp_path / "csv/metrics.csv").read_text().splitlines())
    logged = dict(zip(names, values, strict=True))
    for k, accuracy in enumerate(class_accuracy(records.prediction[0], reference, K)):
        assert float(logged[f"train_class/class_{k}"]) == pytest.approx(accuracy, rel=1e-5)


def test_an_epoch_of_which_nothing_is_kept_gives_one_warning(tmp_path):
    class Empty(Module):
        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            self.last_step = self.last_step._replace(sample_weight=torch.zeros(len(batch.index), dtype=torch.bool))
            return loss

    with pytest.warns(UserWarning, match="kept no sample for a whole epoch") as warned:
        fit(tmp_path, Empty(), max_epochs=1)
    assert sum("kept no sample" in str(warning.message) for warning in warned) == 1
    assert load(tmp_path).measures()["kept"].tolist() == [0]


def read_board(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), size_guidance={"images": 0, "scalars": 0, "histograms": 0}).Reload()


def curve(board: EventAccumulator, tag: str) -> dict[int, float]:
    events = board.Scalars(tag)
    assert len(events) == len({event.step for event in events}), "an epoch is there twice"
    return {event.step: event.value for event in events}


PARTS = {
    "loss_clean": ("clean", "train/loss"),
    "loss_noisy": ("noisy", "train/loss"),
    "memorised": ("memorized", "train/noisy_predicted_as"),
    "corrected": ("corrected", "train/noisy_predicted_as"),
    "acc_true": ("true_labels", "train/acc"),
}


def test_tensorboard_has_what_is_compared_in_one_chart_as_runs_within_the_run(tmp_path):
    fit(tmp_path, Module(selects=True), logger=TensorBoardLogger(tmp_path, name="", version=""), max_epochs=6)
    board, measures = read_board(tmp_path), load(tmp_path).measures()
    for name, (part, tag) in PARTS.items():
        within = read_board(tmp_path / part)
        assert curve(within, tag) == pytest.approx(dict(enumerate(measures[name], 1)), rel=1e-6)
        assert f"train/{name}" not in board.Tags()["scalars"]
    assert curve(board, "train/loss") == pytest.approx(dict(enumerate(measures["loss"], 1)), rel=1e-6)
    assert curve(board, "train_class/class_3").keys() == {*range(1, 7)}
    for picture in ("loss_and_memorisation", "loss_histograms", "highest_losses"):
        assert [event.step for event in board.Images(f"train_samples/{picture}")] == [1, 2, 4, 6]
    for part in {part for part, _ in PARTS.values()}:
        assert len(list((tmp_path / part).iterdir())) == 1, "one file, however many epochs"


def test_a_resumed_run_goes_on_in_the_runs_within_it(tmp_path):
    """It was killed after an epoch that it repeats, and which then is not there twice."""
    cut, board = tmp_path / "cut.ckpt", tmp_path / "board"
    with pytest.raises(InterruptedError):
        fit(
            tmp_path,
            Module(break_at=2 * STEPS + 2),
            callbacks=[Save(cut, *SAVES["mid-epoch"]), SampleRecorder()],
            logger=TensorBoardLogger(board, name="", version=""),
        )
    assert len(curve(read_board(board / "clean"), "train/loss")) == 2
    module, _ = fit(tmp_path, ckpt_path=cut, logger=TensorBoardLogger(board, name="", version=""))
    assert min(epoch for epoch, _ in module.seen) == 1
    measures = load(tmp_path).measures()
    for name, (part, tag) in PARTS.items():
        assert curve(read_board(board / part), tag) == pytest.approx(dict(enumerate(measures[name], 1)), rel=1e-6)
    assert curve(read_board(board), "train/loss").keys() == {1, 2, 3}


def test_tensorboard_without_truth_has_no_runs_within_the_run(tmp_path):
    board = tmp_path / "board"
    fit(tmp_path, data=Data("none"), logger=TensorBoardLogger(board, name="", version=""))
    assert not [path for path in board.iterdir() if path.is_dir()]
    assert [event.step for event in read_board(board).Histograms("train_samples/loss")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("recorder", "steps"), [(SampleRecorder(pictures=False), []), (SampleRecorder(picture_epochs=[3]), [3])]
)
def test_pictures_are_a_choice(tmp_path, recorder, steps):
    fit(tmp_path, logger=TensorBoardLogger(tmp_path, name="", version=""), callbacks=[recorder])
    board = read_board(tmp_path)
    tags = board.Tags()["images"]
    assert [event.step for tag in tags for event in board.Images(tag)] == 3 * steps


@pytest.mark.parametrize("known", ["none", "clean"])
def test_without_noise_or_truth_only_what_can_be_known_is_logged(tmp_path, known):
    _, trainer = fit(tmp_path, data=Data(known))
    names = {name.removeprefix("train/") for name in trainer.callback_metrics}
    assert names == {"none": {"loss", "acc"}, "clean": {"loss", "loss_clean", "acc", "acc_true"}}[known]
    assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())


def test_an_infinite_loss_is_recorded_and_breaks_nothing(tmp_path):
    _, trainer = fit(tmp_path, Module(poison=5))
    assert np.isposinf(load(tmp_path).loss[:, 5]).all()
    assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())


def test_the_weights_are_the_same_without_the_recorder(tmp_path):
    watched, _ = fit(tmp_path / "a")
    alone, _ = fit(tmp_path / "b", callbacks=[])
    for name, value in watched.state_dict().items():
        assert torch.equal(value, alone.state_dict()[name])


@pytest.mark.parametrize("when", SAVES)
def test_a_resumed_run_leaves_the_same_records(tmp_path, when):
    whole, cut, path = tmp_path / "whole", tmp_path / "cut", tmp_path / "cut.ckpt"
    limits: dict[str, Any] = {"limit_val_batches": int("validation" in when)}
    fit(whole, **limits)
    with pytest.raises(InterruptedError):
        fit(cut, Module(break_at=2 * STEPS + 2), callbacks=[Save(path, *SAVES[when]), SampleRecorder()], **limits)
    carried = "SampleRecorder" in torch.load(path, weights_only=True)["callbacks"]
    assert carried is (when != "epoch end"), "a finished epoch leaves nothing to carry"
    if carried:
        (cut / "records/epoch_0001.npz").unlink()  # as if the kill had come before it was written
    (cut / "records/epoch_0003.npz").touch()  # of a course that the resumed run does not take
    fit(cut, ckpt_path=path, **limits)
    assert_equal_files(whole, cut)


def test_the_record_of_an_epoch_that_is_repeated_is_dropped_before_it(tmp_path):
    """Else, after another kill, a record would be of weights that the run doesn't have."""
    path = tmp_path / "cut.ckpt"
    fit(tmp_path, max_epochs=1, callbacks=[Save(path, "on_train_epoch_end", STEPS), SampleRecorder()])
    (tmp_path / "records/epoch_0001.npz").touch()
    with pytest.raises(InterruptedError):
        fit(tmp_path, Module(break_at=STEPS + 2), ckpt_path=path)
    assert [file.name for file in (tmp_path / "records").iterdir()] == ["epoch_0000.npz"]


def test_a_checkpoint_of_another_data_set_is_refused(tmp_path):
    recorder = SampleRecorder()
    recorder.load_state_dict({"epoch": 0, "selects": False, "table": torch.zeros(N + 1, 5)})
    with pytest.raises(InputError, match="61 training samples, the data has 60"):
        fit(tmp_path, callbacks=[recorder])


def test_a_run_without_data_module_is_refused(tmp_path):
    with pytest.raises(InputError, match="datamodule="):
        make_trainer(tmp_path).fit(Module(), [torch.zeros(1)], [torch.zeros(1)])


def test_a_sample_that_two_ranks_meet_counts_once(tmp_path):
    """A sampler that pads the last batch gives one sample to two ranks: the record is one rank's, not a mixture."""
    slots: list[Tensor] = [torch.empty(0), torch.empty(0)]
    meet = Barrier(2)
    states: list[dict[str, Any]] = [{}, {}]

    def work(rank: int) -> None:
        def reduce(value: Tensor, reduce_op: str) -> Tensor:
            slots[rank] = value.clone()
            meet.wait()
            both = torch.stack(slots)
            meet.wait()
            return both.amax(0) if reduce_op == "max" else both.sum(0)

        trainer: Any = SimpleNamespace(
            datamodule=Data(), world_size=2, global_rank=rank, current_epoch=0, loggers=[], is_global_zero=rank == 0
        )
        trainer.strategy, trainer.default_root_dir = SimpleNamespace(reduce=reduce), tmp_path
        logits = torch.eye(K)[[rank, 3]]
        module: Any = SimpleNamespace(device=torch.device("cpu"))
        module.last_step = Step(logits.sum(), torch.tensor([1.0, 2.0]) + rank, logits)
        recorder = SampleRecorder()
        recorder.setup(trainer, module, "fit")
        recorder.on_train_start(trainer, module)
        index = torch.tensor([7, 10 + rank])
        recorder.on_train_batch_end(trainer, module, None, Batch(index, index % K, index, index % K), 0)
        states[rank] = recorder.state_dict()

    _side_by_side(work)
    table = states[0]["table"]
    assert torch.equal(table, states[1]["table"])
    assert table[[7, 10, 11], 0].tolist() == [2.0, 2.0, 3.0]
    assert table[[7, 10, 11], 2].tolist() == [2.0, 4.0, 4.0]
    assert (table[:, 2] > 0).sum() == 3


def _side_by_side(work: Callable[[int], None]) -> None:
    threads = [Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("resumes", [False, True])
def test_of_a_sample_that_an_epoch_serves_several_times_the_last_time_is_recorded(resumes, tmp_path):
    """Within a batch, within what is entered together, and over ranks, as one process does."""
    steps = 40  # more than are entered together
    order = torch.randint(20, (steps, 5), generator=torch.Generator().manual_seed(0))
    losses = torch.arange(steps * 5.0).view(steps, 5)
    expected = torch.zeros(20)
    for index, loss in zip(order.flatten().tolist(), losses.flatten().tolist(), strict=True):
        expected[index] = loss
    assert (losses[-1] > 0).all()
    meet = Barrier(2)
    slots: list[Tensor] = [torch.empty(0), torch.empty(0)]
    tables: dict[tuple[int, int], Tensor] = {}

    def records(rank: int, ranks: int) -> None:
        def reduce(value: Tensor, reduce_op: str) -> Tensor:
            slots[rank] = value.clone()
            meet.wait()
            both = torch.stack(slots)
            meet.wait()
            return both.amax(0) if reduce_op == "max" else both.sum(0)

        trainer: Any = SimpleNamespace(
            datamodule=Data(), world_size=ranks, global_rank=rank, current_epoch=0, loggers=[], is_global_zero=rank == 0
        )
        trainer.strategy, trainer.default_root_dir = SimpleNamespace(reduce=reduce), tmp_path
        module: Any = SimpleNamespace(device=torch.device("cpu"))
        recorder = SampleRecorder()
        recorder.setup(trainer, module, "fit")
        recorder.on_train_start(trainer, module)
        for number in range(steps):
            if resumes and number == 37:
                state, recorder = recorder.state_dict(), SampleRecorder()
                recorder.setup(trainer, module, "fit")
                recorder.load_state_dict(state)
                recorder.on_train_start(trainer, module)
            index, loss = order[number, rank::ranks], losses[number, rank::ranks]
            module.last_step = Step(loss.sum(), loss, torch.zeros(len(index), K))
            recorder.on_train_batch_end(trainer, module, None, Batch(index, index % K, index, index % K), number)
        tables[rank, ranks] = recorder.state_dict()["table"]

    records(0, 1)
    _side_by_side(lambda rank: records(rank, 2))
    assert tables[0, 1][:20, 0].equal(expected)
    assert tables[0, 2].equal(tables[0, 1])
    assert tables[1, 2].equal(tables[0, 1])


def _fit_rank(rank: int, run: Path) -> None:
    os.environ.update(NODE_RANK="0", LOCAL_RANK=str(rank))
    save = Save(run / "cut.ckpt", "on_train_batch_end", STEPS + 3)
    strategy = DDPStrategy(cluster_environment=LightningEnvironment())
    _, trainer = fit(run, strategy=strategy, devices=2, callbacks=[save, SampleRecorder()], max_epochs=2)
    torch.save(dict(trainer.callback_metrics), run / f"metrics_{rank}.pt")


def test_two_ranks_leave_the_records_of_one_process(tmp_path):
    on_two_ranks(_fit_rank, tmp_path / "two")
    save = Save(tmp_path / "one/cut.ckpt", "on_train_batch_end", STEPS + 3)
    fit(tmp_path / "one", callbacks=[save, SampleRecorder()], max_epochs=2)
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    np.testing.assert_allclose(two.loss, one.loss, rtol=1e-5)
    np.testing.assert_array_equal(two.prediction, one.prediction)
    metrics = [torch.load(tmp_path / "two" / f"metrics_{rank}.pt") for rank in range(2)]
    assert metrics[0] == metrics[1]
    tables = [torch.load(tmp_path / run / "cut.ckpt")["callbacks"]["SampleRecorder"]["table"] for run in ("one", "two")]
    torch.testing.assert_close(*tables)
    assert (tables[0][:, 2] > 0).sum() == 3 * B


def test_the_records_type_stays_what_readers_build_on(tmp_path):
    fit(tmp_path, max_epochs=1)
    records = load(tmp_path)
    assert isinstance(records, Records)
    assert isinstance(records.epoch(0), EpochRecord)
    assert records.is_noisy.sum() + records.is_clean.sum() == N
    assert records.split.tolist() == ["train"] * TRAIN + ["val"] * (N - TRAIN)
