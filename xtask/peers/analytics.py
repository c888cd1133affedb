"""The questions of `cargo xtask bench analytics`, asked of DuckDB and ClickHouse over the same events.

Arguments: the directory of the segments (Parquet), the end of the data in microseconds, and how often each question is
asked. Prints one JSON object: by engine its version, the seconds of loading, and by question the median milliseconds
and the answer. Each engine has the events in tables of its own, only with the columns that are asked for, and two
threads. ClickHouse has them in two orders and DuckDB in two as well; the better one counts for each question.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time

DAY = 86_400_000_000
WINDOW_MS = 7 * 86_400_000
STEPS = ["course_viewed", "lesson_started", "exercise_answered", "lesson_completed"]

directory, end, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
threads = 2


def since(days):
    return end - days * DAY


def measured(ask):
    """The median of some warm runs in milliseconds, and the answer."""
    answer = ask()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        answer = ask()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times), answer


def table(rows, columns):
    """Counts by text and place as one list for each text."""
    found = {}
    for text, place, count in rows:
        found.setdefault(text, [0] * columns)[int(place)] = int(count)
    return found


def triangle(rows):
    """Counts by cohort and period since as one list for each cohort."""
    found = [[0] * (12 - cohort) for cohort in range(12)]
    for cohort, period, count in rows:
        found[int(cohort)][int(period)] = int(count)
    return found


def rolling(rows):
    """Active subjects by window, from how each window's number grows by day."""
    growth = {(int(window), int(day)): int(change) for window, day, change in rows}
    answer, now = [], {1: 0, 7: 0, 30: 0}
    for day in range(59):
        for window in now:
            now[window] += growth.get((window, day), 0)
        if day >= 29:
            answer.append([now[1], now[7], now[30]])
    return answer


def best(ask, tables):
    results = [measured(lambda name=name: ask(name)) for name in tables]
    assert all(result[1] == results[0][1] for result in results), "tables differ"
    return min(results, key=lambda result: result[0])


def duckdb_engine():
    import duckdb

    place = tempfile.mkdtemp()
    db = duckdb.connect(f"{place}/events.duckdb")
    db.execute(f"SET threads = {threads}")
    started = time.perf_counter()
    for name, order in [("by_time", "time"), ("by_subject", "subject, time")]:
        db.execute(
            f"CREATE TABLE {name} AS SELECT epoch_us(time) AS time, subject, name::VARCHAR AS name, "
            f"course::VARCHAR AS course, value FROM read_parquet('{directory}/*.parquet') ORDER BY {order}"
        )
    db.execute("CHECKPOINT")
    loaded = time.perf_counter() - started
    tables = ["by_time", "by_subject"]

    def rows(sql):
        return db.execute(sql).fetchall()

    def counts(events):
        return table(
            rows(
                f"SELECT name, (time - {since(90)}) // {DAY} AS day, count(*) FROM {events} "
                f"WHERE time >= {since(90)} AND time < {end} GROUP BY ALL"
            ),
            90,
        )

    def active(events):
        # A subject is in the window of a day until the window is over or the next active day begins its own.
        windows = " UNION ALL ".join(
            f"SELECT {n}, day, 1 FROM seen WHERE before IS NULL OR day - before >= {n} "
            f"UNION ALL SELECT {n}, day + {n}, -1 FROM seen WHERE after IS NULL OR after - day >= {n}"
            for n in (1, 7, 30)
        )
        return rolling(
            rows(
                f"WITH days AS (SELECT DISTINCT subject, ((time - {since(59)}) // {DAY})::INTEGER AS day FROM {events} "
                f"WHERE time >= {since(59)} AND time < {end}), "
                "seen AS (SELECT day, lag(day) OVER w AS before, lead(day) OVER w AS after FROM days "
                "WINDOW w AS (PARTITION BY subject ORDER BY day)), "
                f"changes(n, day, change) AS ({windows}) SELECT n, day, sum(change) FROM changes GROUP BY ALL"
            )
        )

    def funnel(days):
        def ask(events):
            # The latest first event from which each step is reached: of it, the window ends last.
            names = ", ".join(f"'{name}'" for name in STEPS)
            cases = " ".join(f"WHEN '{name}' THEN {step}" for step, name in enumerate(STEPS, 1))
            w = "(PARTITION BY subject ORDER BY ms, step)"
            step = lambda n, of, to: (
                f"{to} AS (SELECT *, max(CASE WHEN step = {n} AND ms - e{n - 1} <= {WINDOW_MS} THEN e{n - 1} END) "
                f"OVER {w} AS e{n} FROM {of})"
            )
            sql = (
                f"WITH a AS (SELECT subject, time // 1000 AS ms, CASE name {cases} END AS step FROM {events} "
                f"WHERE name IN ({names}) AND time >= {since(days)} AND subject IS NOT NULL), "
                f"b AS (SELECT *, max(CASE WHEN step = 1 AND ms < {end // 1000} THEN ms END) OVER {w} AS e1 FROM a), "
                f"{step(2, 'b', 'c')}, {step(3, 'c', 'd')}, {step(4, 'd', 'e')}, "
                "f AS (SELECT subject, max(e1) AS e1, max(e2) AS e2, max(e3) AS e3, max(e4) AS e4 FROM e GROUP BY subject) "
                "SELECT count(e1), count(e2), count(e3), count(e4) FROM f"
            )
            return [int(count) for count in rows(sql)[0]]

        return ask

    def retention(events):
        week = 7 * DAY
        return triangle(
            rows(
                f"WITH starts AS (SELECT subject, min(time) AS first FROM {events} GROUP BY subject "
                f"HAVING first >= {since(84)}), "
                f"seen AS (SELECT DISTINCT subject, (time - {since(84)}) // {week} AS week FROM {events} "
                f"WHERE time >= {since(84)} AND time < {end}) "
                f"SELECT (first - {since(84)}) // {week} AS cohort, week - cohort AS period, count(*) "
                "FROM starts JOIN seen USING (subject) GROUP BY ALL"
            )
        )

    def top(events):
        found = rows(
            "SELECT course, count(*) AS subjects, count(*) FILTER (completed) FROM "
            "(SELECT course, subject, bool_or(name = 'course_completed') AS completed "
            f"FROM {events} WHERE course IS NOT NULL AND time >= {since(180)} AND time < {end} GROUP BY ALL) "
            "GROUP BY course ORDER BY subjects DESC, course LIMIT 10"
        )
        return [[course, int(subjects), int(done)] for course, subjects, done in found]

    def percentiles(events):
        found = rows(
            f"SELECT (time - {since(180)}) // {DAY} AS day, quantile_disc(value, [0.5, 0.95, 0.99]) FROM {events} "
            f"WHERE value IS NOT NULL AND time >= {since(180)} AND time < {end} GROUP BY day ORDER BY day"
        )
        return [list(values) for _, values in found]

    answers = ask_all(tables, counts, active, funnel, retention, top, percentiles)
    db.close()
    shutil.rmtree(place)
    return {"version": duckdb.__version__, "seconds": loaded, "questions": answers}


def clickhouse_engine():
    import chdb
    from chdb import session

    place = tempfile.mkdtemp()
    db = session.Session(place)
    db.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
    started = time.perf_counter()
    for name, order in [("by_name", "name, time"), ("by_subject", "subject, time")]:
        db.query(
            f"CREATE TABLE bench.{name} (time Int64 CODEC(Delta, LZ4), subject UInt32, name LowCardinality(String), "
            f"course LowCardinality(String), value Float64) ENGINE = MergeTree ORDER BY ({order})"
        )
        db.query(
            f"INSERT INTO bench.{name} SELECT toUnixTimestamp64Micro(time), ifNull(subject, 0), name, "
            f"ifNull(course, ''), ifNull(value, nan) FROM file('{directory}/*.parquet', Parquet)"
        )
        db.query(f"OPTIMIZE TABLE bench.{name} FINAL")
    loaded = time.perf_counter() - started
    tables = ["bench.by_name", "bench.by_subject"]

    def rows(sql):
        text = db.query(f"{sql} SETTINGS max_threads = {threads}", "JSONCompactEachRow")
        return [json.loads(line) for line in str(text).splitlines() if line]

    def counts(events):
        return table(
            rows(
                f"SELECT name, intDiv(time - {since(90)}, {DAY}) AS day, count() FROM {events} "
                f"WHERE time >= {since(90)} AND time < {end} GROUP BY name, day"
            ),
            90,
        )

    def active(events):
        window = lambda n: (
            "bitmapCardinality(groupBitmapMergeState(seen) OVER "
            f"(ORDER BY day ROWS BETWEEN {n - 1} PRECEDING AND CURRENT ROW))"
        )
        found = rows(
            f"SELECT day, {window(1)}, {window(7)}, {window(30)} FROM "
            f"(SELECT intDiv(time - {since(59)}, {DAY}) AS day, groupBitmapState(subject) AS seen FROM {events} "
            f"WHERE time >= {since(59)} AND time < {end} GROUP BY day) ORDER BY day"
        )
        return [[int(count) for count in row[1:]] for row in found if int(row[0]) >= 29]

    def funnel(days):
        def ask(events):
            names = ", ".join(f"'{name}'" for name in STEPS)
            conditions = ", ".join(f"name = '{name}'" for name in STEPS)
            levels = rows(
                f"SELECT level, count() FROM (SELECT windowFunnel({WINDOW_MS})"
                f"(toUInt64(intDiv(time, 1000)), {conditions}) AS level FROM {events} "
                f"WHERE name IN ({names}) AND time >= {since(days)} GROUP BY subject) GROUP BY level"
            )
            return [sum(int(count) for level, count in levels if int(level) >= step) for step in (1, 2, 3, 4)]

        return ask

    def retention(events):
        week = 7 * DAY
        return triangle(
            rows(
                f"SELECT cohort, arrayJoin(weeks) - cohort AS period, count() FROM ("
                f"SELECT intDiv(min(time) - {since(84)}, {week}) AS cohort, "
                f"groupUniqArrayIf(toUInt8(intDiv(time - {since(84)}, {week})), time >= {since(84)} AND time < {end}) "
                f"AS weeks FROM {events} GROUP BY subject HAVING min(time) >= {since(84)}) GROUP BY cohort, period"
            )
        )

    def top(events):
        found = rows(
            "SELECT course, uniqExact(subject) AS subjects, uniqExactIf(subject, name = 'course_completed') "
            f"FROM {events} WHERE course != '' AND time >= {since(180)} AND time < {end} "
            "GROUP BY course ORDER BY subjects DESC, course LIMIT 10"
        )
        return [[course, int(subjects), int(done)] for course, subjects, done in found]

    def percentiles(events):
        # Its ranks are those of the definition for levels that are a hair lower.
        found = rows(
            f"SELECT intDiv(time - {since(180)}, {DAY}) AS day, "
            f"quantilesExact(0.499999999, 0.949999999, 0.989999999)(value) FROM {events} "
            f"WHERE NOT isNaN(value) AND time >= {since(180)} AND time < {end} GROUP BY day ORDER BY day"
        )
        return [[float(value) for value in values] for _, values in found]

    answers = ask_all(tables, counts, active, funnel, retention, top, percentiles)
    version = str(db.query("SELECT version()", "TabSeparated")).strip()
    db.close()
    shutil.rmtree(place)
    return {"version": f"{version} (chdb {chdb.__version__})", "seconds": loaded, "questions": answers}


def ask_all(tables, counts, active, funnel, retention, top, percentiles):
    asked = {
        "a": counts,
        "b": active,
        "c": funnel(30),
        "c180": funnel(180),
        "d": retention,
        "e": top,
        "f": percentiles,
    }
    found = {}
    for name, ask in asked.items():
        ms, answer = best(ask, tables)
        found[name] = {"ms": ms, "answer": answer}
    return found


found = {}
for engine, run in [("DuckDB", duckdb_engine), ("ClickHouse", clickhouse_engine)]:
    try:
        found[engine] = run()
    except ImportError as error:
        print(f"{engine} is left out: {error}", file=sys.stderr)
print(json.dumps(found))
