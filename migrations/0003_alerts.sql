-- What people were told: alerts raised, what became of each, messages queued, tries to deliver them.
-- `time` is the clock that the alerts went by, in milliseconds since 1970; `source` is the last row
-- of the record that had been looked at. Open alerts and undelivered messages are found again here
-- after a restart.

CREATE TABLE alert (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    id INTEGER NOT NULL UNIQUE CHECK (id > 0),
    time INTEGER NOT NULL,
    rollup INTEGER REFERENCES rollup (seq),
    level INTEGER,
    severity TEXT NOT NULL CHECK (severity IN ('notice', 'warning', 'critical')),
    nature TEXT NOT NULL CHECK (nature IN ('event', 'condition', 'test')),
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    slack INTEGER,
    stake INTEGER,
    source INTEGER NOT NULL
) STRICT;

CREATE TABLE alert_step (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    alert INTEGER NOT NULL REFERENCES alert (id),
    time INTEGER NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('held', 'repeated', 'worsened', 'escalated', 'acknowledged', 'recovered')),
    severity TEXT NOT NULL CHECK (severity IN ('notice', 'warning', 'critical')),
    detail TEXT NOT NULL,
    source INTEGER NOT NULL
) STRICT;

CREATE INDEX alert_step_alert ON alert_step (alert);

CREATE TABLE notification (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    id INTEGER NOT NULL UNIQUE CHECK (id > 0),
    time INTEGER NOT NULL,
    channel TEXT NOT NULL,
    occasion TEXT NOT NULL,
    note TEXT NOT NULL,
    alerts TEXT NOT NULL
) STRICT;

CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    notification INTEGER NOT NULL REFERENCES notification (id),
    time INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'failed', 'given up')),
    problem TEXT,
    retry INTEGER
) STRICT;

CREATE INDEX delivery_notification ON delivery (notification);
