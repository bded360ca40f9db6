"""Windowed features by hand in Polars: several formulations with the same answers.

Events are known when they happen. A window excludes its end, like Headrace's windows.
"""

import polars as pl

T, E, V = "t", "entity", "amount"


def rolling(
    events: pl.DataFrame, spine: pl.DataFrame, windows: dict[str, int], *, rich: bool = False
) -> pl.DataFrame:
    """Use `DataFrame.rolling` over the union of events and spine rows, one pass per window."""
    both = _both(events, spine).sort(E, T, maintain_order=True)
    found = spine.select("row")
    for name, width in windows.items():
        aggregates = [*_aggregates(name), *(_richer(name) if rich else ())]
        part = both.rolling(T, period=f"{width}i", closed="left", group_by=E).agg(aggregates)
        part = part.with_columns(both["row"]).filter(pl.col("row").is_not_null())
        found = found.join(part.drop(E, T), on="row", how="left")
    return _finish(found.lazy(), spine, windows, rich=rich)


def mixed(
    events: pl.DataFrame, spine: pl.DataFrame, windows: dict[str, int], *, rich: bool = True
) -> pl.DataFrame:
    """Use `searched` for all features except distinct counts, which use `DataFrame.rolling`."""
    found = searched(events, spine, windows, rich=rich)
    both = _both(events, spine).sort(E, T, maintain_order=True)
    for name, width in windows.items():
        part = both.rolling(T, period=f"{width}i", closed="left", group_by=E).agg(
            pl.col("shop").drop_nulls().n_unique().cast(pl.Int64).alias(f"distinct_{name}")
        )
        part = part.with_columns(both["row"]).filter(pl.col("row").is_not_null())
        part = part.select("row", f"distinct_{name}")
        found = found.join(part, on="row", how="left", maintain_order="left")
    return found


def rolling_by(
    events: pl.DataFrame, spine: pl.DataFrame, windows: dict[str, int], *, rich: bool = False
) -> pl.DataFrame:
    """Use `rolling_*_by` by entity over the union of events and spine rows."""
    del rich
    both = _both(events, spine).sort(E, T).lazy()
    return _finish(
        both.with_columns(
            expression
            for name, width in windows.items()
            for expression in (
                _by(pl.col(V).is_not_null().cast(pl.Int64).rolling_sum_by, width, f"count_{name}"),
                _by(pl.col(V).rolling_sum_by, width, f"sum_{name}"),
                _by(pl.col(V).rolling_min_by, width, f"min_{name}"),
                _by(pl.col(V).rolling_max_by, width, f"max_{name}"),
            )
        ).filter(pl.col("row").is_not_null()),
        spine,
        windows,
    )


def running(
    events: pl.DataFrame, spine: pl.DataFrame, windows: dict[str, int], *, rich: bool = False
) -> pl.DataFrame:
    """Read running sums at both ends by as-of joins; use `rolling_*_by` for minimum and maximum."""
    del rich
    sums = (
        events.select(E, T, V)
        .sort(E, T)
        .with_columns(n=pl.int_range(1, pl.len() + 1), s=pl.col(V).cum_sum())
    )
    # Spine rows before an entity's first event use the sums over all entities before it.
    base = sums.group_by(E, maintain_order=True).agg(
        n0=pl.col("n").first() - 1, s0=(pl.col("s") - pl.col(V)).first()
    )
    by_time = sums.select(E, T, "n", "s").sort(T)
    look = spine.sort(T).join(base, on=E, how="left", maintain_order="left")
    look = look.with_columns(pl.col("n0", "s0").fill_null(0)).lazy()
    for name, width in {"end": 0, **windows}.items():
        part = by_time.rename({"n": f"n_{name}", "s": f"s_{name}"}).lazy()
        look = (
            look.with_columns(_at=pl.col(T) - width)
            .join_asof(
                part.rename({T: "_e"}),
                left_on="_at",
                right_on="_e",
                by=E,
                strategy="backward",
                allow_exact_matches=False,
                check_sortedness=False,
            )
            .drop("_e", "_at")
            .with_columns(
                pl.col(f"n_{name}").fill_null(pl.col("n0")),
                pl.col(f"s_{name}").fill_null(pl.col("s0")),
            )
        )
    sums = look.with_columns(
        expression
        for name in windows
        for expression in (
            (pl.col("n_end") - pl.col(f"n_{name}")).alias(f"count_{name}"),
            (pl.col("s_end") - pl.col(f"s_{name}")).alias(f"sum_{name}"),
        )
    ).collect()
    both = _both(events, spine).sort(E, T).lazy()
    extremes = both.select(
        "row",
        *(
            _by(getattr(pl.col(V), f"rolling_{what}_by"), width, f"{what}_{name}")
            for name, width in windows.items()
            for what in ("min", "max")
        ),
    ).filter(pl.col("row").is_not_null())
    return _finish(sums.lazy().join(extremes, on="row"), spine, windows)


def searched(
    events: pl.DataFrame, spine: pl.DataFrame, windows: dict[str, int], *, rich: bool = False
) -> pl.DataFrame:
    """Search packed keys, and gather running sums; use tables of powers of two for the extremes.

    Polars has no operator for this algorithm, so it is composed of column operations.
    """
    codes = events[E].unique().sort()
    span = int(max(events[T].max(), spine[T].max())) + max(windows.values()) + 2
    low = int(min(events[T].min(), spine[T].min())) - max(windows.values()) - 2
    span -= low

    def packed(frame: pl.DataFrame, back: int) -> pl.Series:
        code = codes.search_sorted(frame[E], side="left").cast(pl.Int64)
        return code * span + (frame[T] - back - low)

    order = events.select(key=packed(events, 0), v=pl.col(V)).sort("key", maintain_order=True)
    key, v = order["key"], order["v"]
    zero = pl.Series([0], dtype=pl.Int64)
    running_sum = pl.concat([zero, v.cum_sum()])
    known = spine[E].is_in(codes.implode())
    hi = key.search_sorted(packed(spine, 0), side="left").cast(pl.Int64)
    found = spine.select("row")
    ends = {
        name: key.search_sorted(packed(spine, width), side="left").cast(pl.Int64)
        for name, width in windows.items()
    }
    none = pl.repeat(0, spine.height, dtype=pl.Int64, eager=True)
    hi = hi.zip_with(known, none)
    ends = {name: lo.zip_with(known, none) for name, lo in ends.items()}
    columns = {}
    for name, lo in ends.items():
        columns[f"count_{name}"] = hi - lo
        columns[f"sum_{name}"] = running_sum.gather(hi) - running_sum.gather(lo)
    if rich:
        squares = pl.concat([zero, (v * v).cum_sum()])
        for name, lo in ends.items():
            n, s = columns[f"count_{name}"], columns[f"sum_{name}"]
            square = squares.gather(hi) - squares.gather(lo)
            # Use integers: floats would give equal amounts a deviation by rounding.
            columns[f"std_{name}"] = ((n * square - s * s) / (n * (n - 1))).sqrt()
            some = (n > 0).cast(pl.Int64)
            columns[f"last_{name}"] = v.gather((hi - 1) * some)
    columns |= _powers(v, hi, ends)
    return _finish(found.with_columns(**columns).lazy(), spine, windows, rich=rich, distinct=False)


def _powers(v: pl.Series, hi: pl.Series, ends: dict[str, pl.Series]) -> dict[str, pl.Series]:
    """Return the extremes of v[lo:hi]; level j has those of 2^j values from each index on."""
    rows = {
        name: pl.DataFrame({"lo": lo, "hi": hi, "row": pl.int_range(len(hi), eager=True)})
        .filter(pl.col("hi") > pl.col("lo"))
        .with_columns(level=(pl.col("hi") - pl.col("lo")).log(2).floor().cast(pl.Int64))
        for name, lo in ends.items()
    }
    by_level = {
        name: {key[0]: part for key, part in frame.partition_by("level", as_dict=True).items()}
        for name, frame in rows.items()
    }
    top = max((level for parts in by_level.values() for level in parts), default=-1)
    least = greatest = v
    # With few events every window may be empty, so start with an empty frame to join with.
    nothing = pl.DataFrame(schema={"row": pl.Int64, "least": v.dtype, "greatest": v.dtype})
    pieces = {name: [nothing] for name in ends}
    for j in range(top + 1):
        if j:
            half, n = 1 << (j - 1), len(v) - (1 << j) + 1
            level = pl.select(
                a=pl.min_horizontal(least.slice(0, n), least.slice(half, n)),
                b=pl.max_horizontal(greatest.slice(0, n), greatest.slice(half, n)),
            )
            least, greatest = level["a"], level["b"]
        for name, parts in by_level.items():
            if j in parts:
                part = parts[j]
                one, other = part["lo"], part["hi"] - (1 << j)
                pieces[name].append(
                    pl.select(
                        row=part["row"],
                        least=pl.min_horizontal(least.gather(one), least.gather(other)),
                        greatest=pl.max_horizontal(greatest.gather(one), greatest.gather(other)),
                    )
                )
    found = {}
    for name, frames in pieces.items():
        order = pl.DataFrame({"row": pl.int_range(len(hi), eager=True)})
        whole = order.join(pl.concat(frames), on="row", how="left", maintain_order="left")
        found[f"min_{name}"], found[f"max_{name}"] = whole["least"], whole["greatest"]
    return found


def _both(events: pl.DataFrame, spine: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, pl.Int64)
    return pl.concat(
        [
            events.select(E, T, V, "shop", row=nothing),
            spine.select(E, T, nothing.alias(V), nothing.alias("shop"), "row"),
        ]
    )


def _by(method, width: int, name: str) -> pl.Expr:
    return method(T, window_size=f"{width}i", closed="left").over(E).alias(name)


def _aggregates(name: str) -> list[pl.Expr]:
    v = pl.col(V)
    return [
        v.count().cast(pl.Int64).alias(f"count_{name}"),
        v.sum().alias(f"sum_{name}"),
        v.min().alias(f"min_{name}"),
        v.max().alias(f"max_{name}"),
    ]


def _richer(name: str) -> list[pl.Expr]:
    return [
        pl.col(V).std().alias(f"std_{name}"),
        pl.col(V).drop_nulls().last().alias(f"last_{name}"),
        pl.col("shop").drop_nulls().n_unique().cast(pl.Int64).alias(f"distinct_{name}"),
    ]


def _finish(
    found: pl.LazyFrame,
    spine: pl.DataFrame,
    windows: dict[str, int],
    *,
    rich: bool = False,
    distinct: bool = True,
) -> pl.DataFrame:
    """Return the features in the spine's order and in the column's unit."""
    columns = ["row"]
    for name in windows:
        n, s = pl.col(f"count_{name}"), pl.col(f"sum_{name}")
        some = n > 0
        columns += [
            n.fill_null(0),
            pl.when(some).then(s / 100.0).alias(f"sum_{name}"),
            pl.when(some).then(s / (n * 100)).alias(f"mean_{name}"),
            pl.when(some).then(pl.col(f"min_{name}") / 100.0).alias(f"min_{name}"),
            pl.when(some).then(pl.col(f"max_{name}") / 100.0).alias(f"max_{name}"),
        ]
        if rich:
            columns += [
                pl.when(n > 1).then(pl.col(f"std_{name}") / 100.0).alias(f"std_{name}"),
                pl.when(some).then(pl.col(f"last_{name}") / 100.0).alias(f"last_{name}"),
                *([pl.col(f"distinct_{name}").fill_null(0)] if distinct else []),
            ]
    made = found.select(columns).collect()
    return spine.select("row").join(made, on="row", how="left", maintain_order="left")
