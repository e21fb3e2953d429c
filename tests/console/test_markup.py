"""Nothing that was told becomes markup."""

from boxoffice_server.console.markup import Markup, element, join


def test_text_is_escaped_and_markup_is_not() -> None:
    """Wherever it stands."""
    inner = element("b", "<i>")
    assert inner == "<b>&lt;i&gt;</b>"
    assert element("p", inner, " & ", title='"><script>') == (
        '<p title="&quot;&gt;&lt;script&gt;"><b>&lt;i&gt;</b> &amp; </p>'
    )
    assert join(("<", Markup("<br>"))) == "&lt;<br>"


def test_attributes_are_named_as_html_names_them() -> None:
    """Python's own words get a `_`; what is None or False is left out."""
    assert element("input", class_="x", aria_label="y", required=True, disabled=False, id=None) == (
        '<input class="x" aria-label="y" required>'
    )
    assert (
        element("rect", x=1.0, y=2.25, viewBox="0") == '<rect x="1.0" y="2.2" viewBox="0"></rect>'
    )
