"""The reverse sweep is full unrolling, whatever is learnt and however the batches overlap."""

from __future__ import annotations

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from limbeck.engine.unroll import swept, tesla, unrolled
from limbeck.errors import NumericsError, ShapeError
from tests.reference.tesla import tesla as literal_tesla

WIDTH, HIDDEN, CLASSES, ITEMS = 5, 6, 3, 7


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(vector, x):
    first, second = vector.split([WIDTH * HIDDEN, HIDDEN * CLASSES])
    return torch.tanh(x @ first.view(WIDTH, HIDDEN)) @ second.view(HIDDEN, CLASSES)


def one_vector(seed=0):
    """Cross entropy with learnt labels: parameters, then pixels and a second input."""
    start = (numbers(WIDTH * HIDDEN + HIDDEN * CLASSES, seed=seed),)
    inputs = (numbers(ITEMS, WIDTH, seed=seed + 1), numbers(ITEMS, CLASSES, seed=seed + 2))
    target = numbers(len(start[0]), seed=seed + 3)

    def inner(step, parameters, items):
        return F.cross_entropy(network(parameters[0], items[0]), items[1].softmax(1)) * (1 + 0.1 * step)

    return inner, lambda reached: (reached[0] - target).square().mean(), start, inputs


def two_vectors(seed=0):
    """Two towers with a learnt similarity between their outputs, as LoRS has it."""
    size = WIDTH * HIDDEN + HIDDEN * CLASSES
    start = (numbers(size, seed=seed), numbers(size, seed=seed + 1))
    inputs = (
        numbers(ITEMS, WIDTH, seed=seed + 2), numbers(ITEMS, WIDTH, seed=seed + 3), numbers(ITEMS, seed=seed + 4),
    )  # fmt: skip
    targets = [numbers(size, seed=seed + 5), numbers(size, seed=seed + 6)]

    def inner(step, parameters, items):
        a, b = network(parameters[0], items[0]), network(parameters[1], items[1])
        return F.binary_cross_entropy_with_logits(a @ b.T, items[2].sigmoid().diag()) + 0.01 * step * a.square().mean()

    def outer(reached):
        return sum((r - t).square().mean() for r, t in zip(reached, targets, strict=True))

    return inner, outer, start, inputs


def batches(steps, size, seed=0):
    """Rows of the inputs: batches of different steps overlap."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(ITEMS, generator=generator)[:size] for _ in range(steps)]


def rates_of(start, value=0.3):
    return [torch.tensor(value / (k + 1), dtype=torch.float64) for k in range(len(start))]


def close(a, b, tolerance=1e-10):
    everything = [(a.loss, b.loss), *zip((*a.inputs, *a.rates), (*b.inputs, *b.rates), strict=True)]
    everything += zip(a.reached, b.reached, strict=True)
    for one, two in everything:
        assert one.shape == two.shape
        assert float((one - two).abs().max()) <= tolerance * max(1.0, float(two.abs().max()))


@pytest.mark.parametrize("case", [one_vector, two_vectors])
@pytest.mark.parametrize(
    "rows",
    [
        batches(1, 3), batches(6, 4), [None] * 5, [None, *batches(3, 1), None],
        [torch.tensor([2, 2, 5, 2]), torch.tensor([5, 5])],
    ],
)  # fmt: skip
def test_the_sweep_is_full_unrolling(case, rows):
    inner, outer, start, inputs = case()
    one, two = (f(inner, outer, start, rates_of(start), inputs, rows) for f in (swept, unrolled))
    assert all(float(x.abs().max()) > 1e-6 for x in (*two.inputs, *two.rates))
    close(one, two)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, ITEMS), st.integers(0, 1000), st.floats(1e-3, 1.0))
def test_the_sweep_is_full_unrolling_of_any_size(steps, size, seed, rate):
    inner, outer, start, inputs = two_vectors(seed)
    rows = batches(steps, size, seed)
    close(*(f(inner, outer, start, rates_of(start, rate), inputs, rows) for f in (swept, unrolled)))


@pytest.mark.parametrize("case", [one_vector, two_vectors])
def test_the_gradient_is_the_slope(case):
    """gradcheck: the outer loss against finite differences in every input and step size."""
    inner, outer, start, inputs = case()
    rows, steps = batches(3, 4), rates_of(start)
    k = len(inputs)

    class Outer(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *learnt):
            found = swept(inner, outer, start, learnt[k:], learnt[:k], rows)
            ctx.save_for_backward(*found.inputs, *found.rates)
            return found.loss

        @staticmethod
        def backward(ctx, slope):
            return tuple(slope * x for x in ctx.saved_tensors)

    learnt = [x.clone().requires_grad_() for x in (*inputs, *steps)]
    assert torch.autograd.gradcheck(Outer.apply, learnt, atol=1e-7, rtol=1e-5)


def matching(seed, merged):
    """Two towers that go where experts went: the case, the literal's denominators and both outer losses."""
    inner, _, start, inputs = two_vectors(seed)
    target = [s + 0.5 * numbers(len(s), seed=seed + 7 + k) for k, s in enumerate(start)]
    ways = [(s - t).square().sum() for s, t in zip(start, target, strict=True)]
    below = [sum(ways)] * 2 if merged else ways

    def outer(reached, below=below):
        return sum((r - t).square().sum() / w for r, t, w in zip(reached, target, below, strict=True))

    return inner, start, inputs, target, below, outer, lambda reached: outer(reached, ways)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("rows", [batches(1, 3), batches(8, 4), [torch.tensor([2, 2, 5, 2]), torch.tensor([5, 5])]])
def test_tesla_is_its_own_definition(merged, rows):
    inner, start, inputs, target, below, outer, own = matching(0, merged)
    rates = rates_of(start)
    found = tesla(inner, outer, start, rates, inputs, rows, of_rates=own if merged else None)
    of_inputs, of_rates = literal_tesla(inner, start, target, rates, inputs, rows, below)
    for one, two in zip((*found.inputs, *found.rates), (*of_inputs, *of_rates), strict=True):
        assert float(two.abs().max()) > 1e-6
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)
    whole = swept(inner, outer, start, rates, inputs, rows)
    assert torch.equal(found.loss, whole.loss)
    assert all(torch.equal(a, b) for a, b in zip(found.reached, whole.reached, strict=True))


def test_tesla_is_another_gradient():
    """The sweep does not drop how later parameters depend on earlier batches."""
    inner, start, inputs, _, _, outer, _ = matching(0, merged=False)
    whole, other = (f(inner, outer, start, rates_of(start), inputs, batches(6, 4)) for f in (swept, tesla))
    for one, two in zip(whole.inputs[:2], other.inputs[:2], strict=True):
        assert float((one - two).abs().max()) > 1e-3 * float(one.abs().max())


def test_tesla_of_one_step_is_exact():
    inner, start, inputs, _, _, outer, _ = matching(1, merged=False)
    close(*(f(inner, outer, start, rates_of(start), inputs, batches(1, 4)) for f in (swept, tesla)))


def test_inputs_that_a_loss_ignores_get_zeros():
    inner, outer, start, inputs = one_vector()
    more = (*inputs, numbers(ITEMS, 2))
    for f in (swept, tesla, unrolled):
        found = f(lambda i, p, x: inner(i, p, x[:2]), outer, start, rates_of(start), more, batches(2, 3))
        assert torch.equal(found.inputs[2], torch.zeros_like(more[2]))


def test_nothing_given_is_changed():
    inner, outer, start, inputs = two_vectors()
    rates = rates_of(start)
    before = [x.clone() for x in (*start, *inputs, *rates)]
    for f in (swept, tesla, unrolled):
        f(inner, outer, start, rates, inputs, batches(3, 2))
        assert all(
            torch.equal(a, b) and not b.requires_grad for a, b in zip(before, (*start, *inputs, *rates), strict=True)
        )


def test_the_sweep_and_tesla_keep_one_graph_at_a_time():
    """Tensors that graphs hold when the inner loss is called: none in these two, more with every step in full."""
    inner, outer, start, inputs = one_vector()
    held, alive = weakref.WeakSet(), []

    class Held:
        def __init__(self, tensor):
            self.tensor = tensor
            held.add(self)

    def counting(step, parameters, items):
        alive.append(len(held))
        return inner(step, parameters, items)

    def run(f):
        alive.clear()
        with torch.autograd.graph.saved_tensors_hooks(Held, lambda h: h.tensor):
            f(counting, outer, start, rates_of(start), inputs, batches(8, 3))
        return list(alive)

    assert run(swept) == [0] * 16
    assert run(tesla) == [0] * 16
    assert (torch.tensor(run(unrolled)).diff() > 0).all()


@pytest.mark.parametrize("f", [swept, tesla, unrolled])
def test_parameters_that_stop_being_finite_name_the_step(f):
    inner, outer, start, inputs = one_vector()

    def breaking(step, parameters, items):
        return inner(step, parameters, items) * (float("nan") if step == 2 else 1)

    with pytest.raises(NumericsError, match="after inner step 2") as error:
        f(breaking, outer, start, rates_of(start), inputs, batches(5, 3), where="step 7, audio")
    assert "step 7, audio" in str(error.value)
    with pytest.raises(NumericsError, match="starts from"):
        f(inner, outer, [start[0] * float("inf")], rates_of(start), inputs, batches(2, 3))


@pytest.mark.parametrize("f", [swept, tesla, unrolled])
def test_parts_that_do_not_fit(f):
    inner, outer, start, inputs = one_vector()
    with pytest.raises(ShapeError, match="2 step sizes"):
        f(inner, outer, start, rates_of((0, 0)), inputs, batches(2, 3))
    with pytest.raises(ShapeError, match="no inner step"):
        f(inner, outer, start, rates_of(start), inputs, [])
