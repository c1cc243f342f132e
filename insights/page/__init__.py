"""The page of the insights, for people: made on the server, and nothing of it loaded from elsewhere.

How a page is added:

1. A module here with one class that is a `views.Page`: its `entry` (path and title in the navigation) and its `doors`
   (method, path, and an async handler of a request). A handler asks the ports that its class was given and returns a
   `View`: the name of a template and what it shows. It knows nothing of databases, and its class is built in
   `insights/app.py`, where one line adds it to the site. `models.py` is one to follow.
2. A template in `templates/` that extends `base.html` and fills the blocks `title` and `main`; its first heading is an
   `h1`. Values are escaped; `|safe` is used nowhere. `macros.html` has what pages share:
   - `chart(chart)` draws a `charts.Chart`, with the same figures as a table, which is what the script draws from, and
     what is seen without one; a chart of nothing says so by itself;
   - `bar(share)` is a bar in a cell of a table;
   - `empty(text)` says that there is nothing, and what would make something;
   - `field(...)` is a field of a form with its label, its hint and its error; `errors(...)` sums them up above it;
   - `fact(name, value, note)` is one figure in a `<dl class="facts">`; `badge(text, mood)` one word in a colour.
   Numbers go through the filters `count`, `share`, `seconds`, `moment` and `ago` (`text.py`), so that each looks the
   same everywhere. Wide tables go into `<div class="wide" tabindex="0">`, which scrolls by itself.
3. What goes wrong is raised: a `RequestError` becomes a page with its status and text, `LedgerUnavailableError` a 503
   that tries again by itself, anything else a 500 that shows the request id. A handler catches none of them.

Forms are plain: `<form method="post">`, no script needed. Each has `{% include "signed.html" %}`: who has signed in,
and the token of his session; or a field for the name, where nobody signs in. The site reads and checks a form before
its handler gets it (`given_form`): it must come from a page of ours (`forms.py`, by Sec-Fetch-Site or Origin), with
that token (`sign_in.py`), and has in `adminId` who does it. A POST ends in a `SeeOther`, so that to reload never
repeats it; its `done` is one of the page's own words, for which the page shows a text. One with errors returns its
`View` again with the status 422 and the errors by field. What cannot be taken back asks once more, on a page of its
own.

Each door has a row in `runtime/access/policy.py`. What leads to a door that not everybody may use stands within
`{% if may("POST /the/{door}") %}`.

There is no inline script and no inline style: the Content-Security-Policy refuses both. What is to be looked at anew by
itself is marked with `hx-get`, `hx-trigger="every 10s"`, `hx-select` and `hx-swap="outerMorph"` (which leaves the focus
where it is), as in `overview.html`; charts stay outside of it.
"""
