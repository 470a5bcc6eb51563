"""What a text shows of a person: a static encoder, trained on the train split to tell values of attributes from cues.

A text is the mean of its tokens' vectors, so that ten thousand a second can be read on two cores. The vectors start as those of the
packaged static model and are trained, with a prototype for each value that train's people hold, to bring together the cues, statements and
option texts of one value (a softmax over prototypes, as in Snell et al. 2017, "Prototypical networks"). What is learned of values carries
over to cues never seen; of values never seen, the cosine of two texts is what is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from text.encoder import StaticTokens, static_tokens

Array = npt.NDArray[np.float32]
_EPOCHS = 12
_BATCH = 256
_RATE, _PROTOTYPE_RATE = 3e-3, 3e-3
_WHOLE = 0.3
"""Weight of telling a value from all others, beside telling it from those of its attribute."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that is known to show a value, or only (value None) to be about an attribute."""

    text: str
    attribute: str
    value: str | None


@dataclass
class Cues:
    """The trained encoder."""

    values: tuple[tuple[str, str], ...]
    """(attribute, value) of each prototype, sorted."""
    rows: npt.NDArray[np.int64]
    """Shape (trained tokens,): which tokens the trained vectors are of; all others keep the static model's."""
    vectors: Array
    """Shape (trained tokens, 256)."""
    prototypes: Array
    """Shape (values, 256), unit vectors."""
    scale: float
    _seen: dict[str, Array] = field(default_factory=dict, repr=False)
    _plain: dict[str, Array] = field(default_factory=dict, repr=False)

    @cached_property
    def _table(self) -> tuple[StaticTokens, Array]:
        static = static_tokens()
        table = static.vectors.copy()
        table[self.rows] = self.vectors
        return static, table

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of the prototypes, sorted."""
        return tuple(sorted({attribute for attribute, _ in self.values}))

    @cached_property
    def of_attribute(self) -> Array:
        """Shape (values, attributes): 1 where the value is one of the attribute."""
        place = {name: column for column, name in enumerate(self.attributes)}
        member = np.zeros((len(self.values), len(place)), dtype=np.float32)
        for row, (attribute, _) in enumerate(self.values):
            member[row, place[attribute]] = 1
        return member

    def embed(self, texts: Sequence[str]) -> Array:
        """Unit vectors, shape (texts, 256); each text is read once."""
        return _means(self._table[1], self._table[0], texts, self._seen)

    def plain(self, texts: Sequence[str]) -> Array:
        """Unit vectors of the untrained static model, shape (texts, 256), for what must not know train's texts by heart."""
        return _means(self._table[0].vectors, self._table[0], texts, self._plain)

    def values_in(self, vectors: Array) -> Array:
        """Probabilities of the values, shape (texts, values)."""
        logits = (vectors @ self.prototypes.T) * self.scale
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        found: Array = powers / powers.sum(axis=1, keepdims=True)
        return found

    def attributes_in(self, values: Array) -> Array:
        """Probabilities of the attributes, shape (texts, attributes), from those of the values."""
        found: Array = values @ self.of_attribute
        return found

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What is kept of it in a file, beside `values`."""
        return {"rows": self.rows, "vectors": self.vectors, "prototypes": self.prototypes, "scale": np.array([self.scale], np.float32)}

    @classmethod
    def of(cls, values: Sequence[Sequence[str]], tensors: Mapping[str, npt.NDArray[Any]]) -> "Cues":
        """Back from what was kept."""
        pairs = tuple((attribute, value) for attribute, value in values)
        return cls(pairs, tensors["rows"], tensors["vectors"], tensors["prototypes"], float(tensors["scale"][0]))


def train_cues(samples: Sequence[Sample], seed: int, epochs: int = _EPOCHS) -> Cues:
    """Learn from `samples`, of which at least one names a value. The same samples and seed give the same encoder."""
    import torch

    values = tuple(sorted({(sample.attribute, sample.value) for sample in samples if sample.value is not None}))
    place = {value: row for row, value in enumerate(values)}
    static = static_tokens()
    bags = static.ids([sample.text for sample in samples])
    rows = np.array(sorted({token for bag in bags for token in bag}), dtype=np.int64)
    trained = {int(token): row for row, token in enumerate(rows)}
    known = [[trained[token] for token in bag] for bag in bags]
    labels = [_Label.of(sample, values, place) for sample in samples]
    table = torch.nn.Parameter(torch.from_numpy(static.vectors[rows].copy()))
    generator = torch.Generator().manual_seed(seed % 2**63)
    prototypes = torch.nn.Parameter(_first_prototypes(table.detach(), known, labels, len(values)))
    scale = torch.nn.Parameter(torch.tensor(3.0))
    optimiser = torch.optim.Adam([{"params": [table], "lr": _RATE}, {"params": [prototypes, scale], "lr": _PROTOTYPE_RATE}])
    allowed = torch.from_numpy(np.stack([label.allowed for label in labels]))
    wanted = torch.from_numpy(np.stack([label.wanted for label in labels]))
    for _ in range(epochs):
        order = torch.randperm(len(samples), generator=generator)
        for start in range(0, len(samples), _BATCH):
            batch = order[start : start + _BATCH]
            logits = _embedded(table, [known[index] for index in batch.tolist()]) @ _unit(prototypes).T * scale.exp()
            loss = _missed(logits, wanted[batch], allowed[batch]) + _WHOLE * _missed(logits, wanted[batch], torch.ones_like(allowed[batch]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Cues(values, rows, table.detach().numpy(), _unit(prototypes).detach().numpy(), float(scale.detach().exp()))


def _means(table: Array, static: StaticTokens, texts: Sequence[str], seen: dict[str, Array]) -> Array:
    """The mean vector of each text, of length one; `seen` keeps what was read."""
    fresh = [text for text in dict.fromkeys(texts) if text not in seen]
    for text, ids in zip(fresh, static.ids(fresh), strict=True):
        mean = table[ids].mean(axis=0) if ids else np.zeros(table.shape[1], dtype=np.float32)
        seen[text] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return np.stack([seen[text] for text in texts]) if texts else np.zeros((0, table.shape[1]), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Label:
    wanted: npt.NDArray[np.bool_]
    """Shape (values,): any of these is right."""
    allowed: npt.NDArray[np.bool_]
    """Among which the choice is narrowed: the attribute's values, or all where the attribute is what is to be found."""

    @classmethod
    def of(cls, sample: Sample, values: Sequence[tuple[str, str]], place: Mapping[tuple[str, str], int]) -> "_Label":
        same = np.array([attribute == sample.attribute for attribute, _ in values])
        if sample.value is None:
            return cls(same, np.ones(len(values), dtype=np.bool_))
        wanted = np.zeros(len(values), dtype=np.bool_)
        wanted[place[sample.attribute, sample.value]] = True
        return cls(wanted, same)


def _missed(logits: Any, wanted: Any, allowed: Any) -> Any:
    """Mean negative log probability of `wanted` among `allowed`."""
    most = float("-inf")
    return (logits.masked_fill(~allowed.bool(), most).logsumexp(1) - logits.masked_fill(~wanted, most).logsumexp(1)).mean()


def _unit(rows: Any) -> Any:
    import torch

    return torch.nn.functional.normalize(rows, dim=-1)


def _embedded(table: Any, bags: Sequence[Sequence[int]]) -> Any:
    import torch

    flat = torch.tensor([token for bag in bags for token in (bag or [0])])
    starts = torch.tensor(np.cumsum([0, *(len(bag or [0]) for bag in bags)])[:-1])
    return _unit(torch.nn.functional.embedding_bag(flat, table, starts, mode="mean"))


def _first_prototypes(table: Any, bags: Sequence[Sequence[int]], labels: Sequence[_Label], number: int) -> Any:
    """The mean of what shows each value."""
    import torch

    with torch.no_grad():
        sums = torch.zeros(number, table.shape[1])
        single = [(index, int(label.wanted.argmax())) for index, label in enumerate(labels) if label.wanted.sum() == 1]
        vectors = _embedded(table, [bags[index] for index, _ in single])
        return sums.index_add(0, torch.tensor([value for _, value in single]), vectors)
