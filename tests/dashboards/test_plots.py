import json
import math
import re

import pytest

from dashboards.plots import plain_figure, plot_html, rounded


@pytest.mark.parametrize(
    ("value", "shown"),
    [(27.123456, 27.123), (0.000123456789, 0.00012346), (-1e9, -1e9), (math.nan, None)],
)
def test_values_keep_five_digits_and_what_is_no_number_is_null(value, shown):
    assert rounded(value) == shown


def test_a_figure_is_json_in_a_place_of_its_height_and_cannot_end_its_script():
    figure = plain_figure(height=300)
    figure.add_scatter(x=[1], y=[2.0], name="</script><b>")
    html = plot_html(figure, alt='a "b" <c>')
    assert html.count("</script>") == 1
    assert 'style="height:300px"' in html
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in html
    spec = json.loads(re.search(r"<script[^>]*>(.*)</script>", html)[1])
    assert spec["data"][0]["name"] == "</script><b>"
    assert "template" not in spec["layout"]
