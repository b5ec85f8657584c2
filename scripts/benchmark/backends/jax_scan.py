"""The backend ``jax``: every epoch and step of a segment in one compiled scan, the networks under vmap."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scripts.benchmark.backends.work import Layers, Pause, Work

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Transform = Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
State = Any  # parameters, first and second moments, all lists of (weight, bias), and the number of steps


def loss(layers: Any, x: Any, target: Any) -> Any:
    """Return the mean cross-entropy of one network: (B, D), (B,) -> ()."""
    hidden = x
    for index, (weight, bias) in enumerate(layers):
        hidden = (jax.nn.relu(hidden) if index else hidden) @ weight + bias
    return -jnp.take_along_axis(jax.nn.log_softmax(hidden), target[:, None], axis=1).mean()


def adam(state: State, gradient: Any, lr: float) -> State:
    """Return the state after one step of Adam."""
    parameters, first, second, steps = state
    steps = steps + 1
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
    rate, scale = lr / (1 - BETA1**steps), 1 / jnp.sqrt(1 - BETA2**steps)
    moved = jax.tree.map(lambda p, m, v: p - rate * m / (scale * jnp.sqrt(v) + EPSILON), parameters, first, second)
    return moved, first, second, steps


def train(work: Work, pause: Pause, over_networks: Transform = jax.vmap) -> Layers:
    """Train all networks, ``work.chunk`` at a time.

    Args:
        work: The networks and their samples.
        pause: Called after each segment.
        over_networks: Returns a function of all networks from one of a single network.
    """
    size, batch_size = work.x.shape[1], work.batch_size
    full = size - size % batch_size

    def step(state: State, batch: Any) -> tuple[State, None]:
        return adam(state, jax.grad(loss)(state[0], *batch), work.lr), None

    def epoch(carry: Any, _: None) -> tuple[Any, None]:
        state, key, x, target = carry
        key, mine = jax.random.split(key)
        permutation = jax.random.permutation(mine, size)
        x_shuffled, target_shuffled = x[permutation], target[permutation]
        batches = x_shuffled[:full].reshape(-1, batch_size, x.shape[1]), target_shuffled[:full].reshape(-1, batch_size)
        state, _ = jax.lax.scan(step, state, batches)
        if full < size:
            state, _ = step(state, (x_shuffled[full:], target_shuffled[full:]))
        return (state, key, x, target), None

    unit = math.gcd(*work.segments)  # one compilation serves all segments
    run = jax.jit(over_networks(lambda carry: jax.lax.scan(epoch, carry, None, length=unit)[0]))
    seeds = np.arange(len(work.x))
    chunks = [_start(work, part) for part in np.array_split(seeds, -(-len(seeds) // (work.chunk or len(seeds))))]
    for epochs in work.segments:
        for index, chunk in enumerate(chunks):
            for _ in range(epochs // unit):
                chunk = run(chunk)
            chunks[index] = jax.block_until_ready(chunk)
        pause()
    layers = zip(*(chunk[0][0] for chunk in chunks), strict=True)
    return [(np.concatenate([w for w, _ in each]), np.concatenate([b for _, b in each])) for each in layers]


def _start(work: Work, seeds: Any) -> Any:
    """Return the carry of the scan for some networks: state, key, samples and labels."""
    parameters = [(jnp.asarray(weight[seeds]), jnp.asarray(bias[seeds])) for weight, bias in work.layers]
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = parameters, zeros, zeros, jnp.zeros(len(seeds))
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    return state, keys, jnp.asarray(work.x[seeds]), jnp.asarray(work.target[seeds])
