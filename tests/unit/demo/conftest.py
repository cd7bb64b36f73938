"""Distributions made up for a test: real ``.dist-info`` folders, as an installer leaves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from demo.inventory import find

MakeDistribution = Callable[..., Distribution]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder that the made-up distributions are installed in."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


@pytest.fixture
def install(site: Path) -> MakeDistribution:
    """Install a made-up distribution and return it.

    ``fields`` are metadata fields, a list for one that is repeated; ``licences`` maps file names below ``licenses/`` to
    texts; ``files`` maps other paths, relative to the site, to contents; ``wheel`` is the text of WHEEL.
    """

    def _install(
        name: str = "made-up",
        version: str = "1.0",
        fields: Mapping[str, str | list[str]] | None = None,
        *,
        description: str = "",
        licences: Mapping[str, str] | None = None,
        files: Mapping[str, str | bytes] | None = None,
        wheel: str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        extra: Mapping[str, str | bytes] | None = None,
    ) -> Distribution:
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.9"]
        for field, values in (fields or {}).items():
            lines = [line for line in lines if not line.startswith(f"{field}:")]
            lines += [f"{field}: {value}" for value in ([values] if isinstance(values, str) else values)]
        contents: dict[str, str | bytes] = {
            f"{info}/METADATA": "\n".join([*lines, "", description]),
            f"{info}/WHEEL": wheel,
            **{f"{info}/licenses/{path}": text for path, text in (licences or {}).items()},
            **{f"{info}/{path}": content for path, content in (extra or {}).items()},
            **(files or {}),
        }
        for path, content in contents.items():
            target = site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        if f"{info}/RECORD" not in contents:
            (site / info / "RECORD").write_text("".join(f"{path},,\n" for path in contents))
        return find(name, [str(site)])

    return _install


@pytest.fixture
def licence_texts() -> Mapping[str, str]:
    """What is peculiar to each licence's text, by SPDX id."""
    return TEXTS


MIT = """The MIT License (MIT)

Copyright (c) 2019 Some Body

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND.
"""
BSD_2 = """Copyright (c) 2020, Some Body
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice.
2. Redistributions in binary form must reproduce the above copyright notice.
"""
BSD_3 = (
    BSD_2
    + """3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse.
"""
)
ISC = """Copyright 2021 Some Body

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.
"""
GPL_3 = """                    GNU GENERAL PUBLIC LICENSE
                       Version 3, 29 June 2007

 Copyright (C) 2007 Free Software Foundation, Inc. <https://fsf.org/>

  1. Source Code.
  The "source code" for a work means the preferred form of the work for making modifications to it.
"""
LGPL_3 = """                   GNU LESSER GENERAL PUBLIC LICENSE
                       Version 3, 29 June 2007

 Copyright (C) 2007 Free Software Foundation, Inc. <https://fsf.org/>

  This version incorporates the terms and conditions of version 3 of the GNU General Public License.
"""
APACHE = """
                                 Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/

   3. Grant of Patent License. Subject to the terms and conditions of this License, ...
"""
APACHE_NOTICE = """   Copyright 2018 Some Body

   Licensed under the Apache License, Version 2.0 (the "License");
   you may not use this file except in compliance with the License.
"""
MPL = """Mozilla Public License Version 2.0
==================================

1.3. "Contribution" means Covered Software of a particular Contributor.
"""
TEXTS: Mapping[str, str] = {
    "MIT": MIT,
    "BSD-2-Clause": BSD_2,
    "BSD-3-Clause": BSD_3,
    "ISC": ISC,
    "GPL-3.0-only": GPL_3,
    "LGPL-3.0-only": LGPL_3,
    "Apache-2.0": APACHE,
    "MPL-2.0": MPL,
}
