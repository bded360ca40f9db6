"""Schema of the ledger, as a sequence of migrations."""

MIGRATIONS = (
    """
    CREATE TABLE batches (
        batch_id TEXT NOT NULL, tbl TEXT NOT NULL, slot TEXT NOT NULL, source TEXT NOT NULL,
        origin TEXT NOT NULL, producer TEXT NOT NULL, owner TEXT NOT NULL, format TEXT NOT NULL,
        sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, arrived_at INTEGER NOT NULL,
        received_at INTEGER NOT NULL, sequence INTEGER NOT NULL, raw_path TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'received', published_at INTEGER, snapshot_id INTEGER,
        note TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (batch_id, tbl)) WITHOUT ROWID;
    CREATE INDEX batches_by_slot ON batches (tbl, slot);
    CREATE TABLE deliveries (
        batch_id TEXT NOT NULL, tbl TEXT NOT NULL, origin TEXT NOT NULL,
        arrived_at INTEGER NOT NULL, received_at INTEGER NOT NULL,
        PRIMARY KEY (batch_id, tbl, origin)) WITHOUT ROWID;
    CREATE TABLE judgements (
        batch_id TEXT NOT NULL, tbl TEXT NOT NULL, rule_hash TEXT NOT NULL, verdict TEXT NOT NULL,
        delivered INTEGER NOT NULL, passing INTEGER NOT NULL, quarantined INTEGER NOT NULL,
        repeated INTEGER NOT NULL, staged_path TEXT NOT NULL, quarantine_path TEXT NOT NULL,
        judged_at INTEGER NOT NULL, summary TEXT NOT NULL, judgement TEXT NOT NULL,
        published_at INTEGER, snapshot_id INTEGER,
        PRIMARY KEY (batch_id, tbl, rule_hash));
    CREATE INDEX judgements_by_table ON judgements (tbl, rule_hash)
    """,
    # A lane is a chain: each row starts where another ended, and no two start at the same place.
    """
    CREATE TABLE offsets (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL, stream TEXT NOT NULL,
        lane TEXT NOT NULL, after_ TEXT NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
        events INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        lost INTEGER NOT NULL, batch_id TEXT NOT NULL,
        UNIQUE (tbl, stream, lane, after_));
    CREATE INDEX offsets_by_lane ON offsets (tbl, stream, lane, id)
    """,
    # Actions of people on batches, including refused ones (allowed = 0).
    """
    CREATE TABLE actions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, principal TEXT NOT NULL,
        action TEXT NOT NULL, tbl TEXT NOT NULL, batch_id TEXT NOT NULL, slot TEXT NOT NULL,
        rule_hash TEXT NOT NULL, suite_hash TEXT NOT NULL, scope TEXT NOT NULL,
        reason TEXT NOT NULL, expires_at INTEGER, allowed INTEGER NOT NULL, note TEXT NOT NULL);
    CREATE INDEX actions_by_table ON actions (tbl, batch_id, id);
    CREATE TRIGGER actions_stay BEFORE UPDATE ON actions
        BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    CREATE TRIGGER actions_remain BEFORE DELETE ON actions
        BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END
    """,
    # Verdicts with overrides, beside the gate's own verdicts.
    """
    ALTER TABLE judgements ADD COLUMN base_hash TEXT NOT NULL DEFAULT '';
    ALTER TABLE judgements ADD COLUMN derived_from TEXT NOT NULL DEFAULT '';
    ALTER TABLE judgements ADD COLUMN action_ids TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE judgements ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE judgements ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE judgements ADD COLUMN withdrawn_at INTEGER;
    UPDATE judgements SET base_hash = rule_hash;
    CREATE INDEX judgements_by_base ON judgements (tbl, base_hash)
    """,
    # Files that were published again after other files of their batch, or after an absence.
    """
    CREATE TABLE returns (
        tbl TEXT NOT NULL, batch_id TEXT NOT NULL, staged_path TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (tbl, batch_id, at)) WITHOUT ROWID
    """,
    # Paths relative to the home, which may be moved: `staged/<table>/<file>`.
    """
    UPDATE judgements SET staged_path = 'staged/' || tbl || '/' || replace(
        staged_path, rtrim(staged_path, replace(staged_path, '/', '')), '')
        WHERE staged_path LIKE '%/staged/' || tbl || '/%';
    UPDATE judgements SET quarantine_path = 'quarantine/' || tbl || '/' || replace(
        quarantine_path, rtrim(quarantine_path, replace(quarantine_path, '/', '')), '')
        WHERE quarantine_path LIKE '%/quarantine/' || tbl || '/%';
    UPDATE OR IGNORE returns SET staged_path = 'staged/' || tbl || '/' || replace(
        staged_path, rtrim(staged_path, replace(staged_path, '/', '')), '')
        WHERE staged_path LIKE '%/staged/' || tbl || '/%'
    """,
    # Publication history of a table at the time when a release pinned a snapshot; see
    # `headrace.lake.ledger.publication_history`.
    """
    CREATE TABLE pinned (
        tbl TEXT NOT NULL, snapshot_id INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (tbl, snapshot_id)) WITHOUT ROWID
    """,
    # Rows that a verdict holds because of a conflict with an earlier row. `surveys` has, by table,
    # the batches with conflicting published rows from before conflicts were checked.
    """
    CREATE TABLE conflicts (
        tbl TEXT NOT NULL, batch_id TEXT NOT NULL, rule_hash TEXT NOT NULL, line INTEGER NOT NULL,
        earlier_batch TEXT NOT NULL, earlier_line INTEGER NOT NULL, after_action INTEGER NOT NULL,
        PRIMARY KEY (tbl, batch_id, rule_hash, line)) WITHOUT ROWID;
    CREATE TABLE surveys (tbl TEXT NOT NULL PRIMARY KEY, batches TEXT NOT NULL) WITHOUT ROWID
    """,
)
