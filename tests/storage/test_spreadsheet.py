import io

import pandas as pd
import pytest

from src.storage.spreadsheet import escape_formula, escape_formulas, unescape_formula, unescape_formulas

TEXTS = ["=1+1", "+1", "-a", "@a", "\ta", "'=1", "''=1", "'s", "plain", "", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", TEXTS)
def test_unescaping_returns_the_text_that_was_escaped(text: str):
    assert escape_formula(text)[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert unescape_formula(escape_formula(text)) == text


def test_a_table_is_read_as_it_was_written():
    table = pd.DataFrame([["=a", -1.5, "'=b", None], ["b", 2.0, "c", "@d"]], columns=["=x", "y", "'z", "=x"])
    text = escape_formulas(table).to_csv(index=False)
    assert text == "'=x,y,'z,'=x\n'=a,-1.5,''=b,\nb,2.0,c,'@d\n"
    back = unescape_formulas(pd.read_csv(io.StringIO(text)))
    assert back.to_numpy(dtype=object)[:, :3].tolist() == table.to_numpy(dtype=object)[:, :3].tolist()
    assert list(back.columns)[:3] == ["=x", "y", "'z"]
