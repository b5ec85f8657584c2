from collections.abc import Iterator

import pytest
import torch

from src.training.single_thread import single_threaded


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_body_runs_on_one_thread_and_the_number_comes_back() -> None:
    with single_threaded():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_the_number_comes_back_after_an_error_too() -> None:
    with pytest.raises(RuntimeError, match="broken"), single_threaded():
        raise RuntimeError("broken")
    assert torch.get_num_threads() == 2


def test_it_can_be_nested() -> None:
    with single_threaded():
        with single_threaded():
            pass
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_a_large_product_does_not_depend_on_the_number_of_cores() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 300, 300, generator=generator) for _ in range(2))
    products = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with single_threaded():
            products.append(a @ b)
    assert torch.equal(*products)


def test_denormals_are_flushed_inside_and_come_back() -> None:
    def smallest() -> float:
        return (torch.tensor(1e-40) * torch.tensor(0.5)).item()

    assert smallest() > 0
    with single_threaded():
        assert smallest() == 0
        with single_threaded():
            pass
        assert smallest() == 0
    assert smallest() > 0
