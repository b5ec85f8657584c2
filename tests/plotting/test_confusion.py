import numpy as np
import pytest

from src.plotting.confusion import confusion_figure
from src.plotting.style import save

COUNTS = np.array([[8, 2, 0], [0, 5, 1], [0, 0, 3]])


def test_each_row_is_a_true_class_with_its_name_and_counts(tmp_path):
    figure = confusion_figure(COUNTS, ["süß", "λ→", "$x$ & <b>"])
    [ax] = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["süß", "λ→", r"\$x\$ & <b>"]
    assert [text.get_text() for text in ax.texts] == [str(count) for count in COUNTS.flatten()]
    assert ax.images[0].get_array().tolist() == [[0.8, 0.2, 0], [0, 5 / 6, 1 / 6], [0, 0, 1]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    [path] = save(figure, tmp_path / "confusion", ("png",))
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("classes", [2, 25, 100])
def test_many_classes_have_no_numbers_and_a_bounded_size(classes):
    figure = confusion_figure(np.eye(classes, dtype=int), range(classes))
    assert len(figure.axes[0].texts) == (classes**2 if classes <= 20 else 0)
    assert max(figure.get_size_inches()) < 20
