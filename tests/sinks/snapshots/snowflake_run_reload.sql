-- 1
SELECT
  c.table_name,
  c.column_name,
  c.data_type,
  c.numeric_precision,
  c.numeric_scale,
  c.collation_name
FROM "SALES".INFORMATION_SCHEMA.schemata AS s
LEFT JOIN "SALES".INFORMATION_SCHEMA.columns AS c
  ON c.table_schema = s.schema_name
WHERE
  s.schema_name = 'CRM'
ORDER BY
  c.table_name,
  c.ordinal_position;

-- 2
SELECT
  "STREAM",
  "WATERMARK",
  "VERSION",
  "RUN_ID",
  "COMMITTED_AT",
  "COLUMNS",
  "TARGET",
  "DEFINITION"
FROM "SALES"."CRM"."_SYNCLINE_WATERMARKS"
WHERE
  "PIPELINE" = 'trial'
ORDER BY
  "STREAM" NULLS FIRST;

-- 3
SELECT
  c.table_name,
  c.column_name,
  c.data_type,
  c.numeric_precision,
  c.numeric_scale,
  c.collation_name
FROM "SALES".INFORMATION_SCHEMA.schemata AS s
LEFT JOIN "SALES".INFORMATION_SCHEMA.columns AS c
  ON c.table_schema = s.schema_name
WHERE
  s.schema_name = 'CRM'
ORDER BY
  c.table_name,
  c.ordinal_position;

-- 4
SELECT
  "PIPELINE",
  "STREAM",
  "TARGET"
FROM "SALES"."CRM"."_SYNCLINE_WATERMARKS"
ORDER BY
  "PIPELINE" NULLS FIRST,
  "STREAM" NULLS FIRST;

-- 5
SELECT
  c.table_name,
  c.column_name,
  c.data_type,
  c.numeric_precision,
  c.numeric_scale,
  c.collation_name
FROM "SALES".INFORMATION_SCHEMA.schemata AS s
LEFT JOIN "SALES".INFORMATION_SCHEMA.columns AS c
  ON c.table_schema = s.schema_name
WHERE
  s.schema_name = 'CRM_STAGING'
ORDER BY
  c.table_name,
  c.ordinal_position;

-- 6
CREATE OR REPLACE TRANSIENT TABLE "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT" (
  "ID" VARCHAR,
  "NAME" VARCHAR,
  "STAMP" TIMESTAMPTZ(6),
  "AMOUNT" DECIMAL(18, 2),
  "_SYNCLINE_DELETED" BOOLEAN,
  "_SYNCLINE_SEQ" DECIMAL(19, 0)
);

-- 7
CREATE STAGE IF NOT EXISTS "SALES"."CRM_STAGING"."_SYNCLINE_FILES";

-- 8
PUT 'file:///tmp/syncline-put/part-*.parquet' '@"SALES"."CRM_STAGING"."_SYNCLINE_FILES"/trial/Account/dt=2024-01-01/run=run-0004/records/' AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE PARALLEL = 4;

-- 9
COPY INTO "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT" FROM '@"SALES"."CRM_STAGING"."_SYNCLINE_FILES"/trial/Account/dt=2024-01-01/run=run-0004/records/' FILES = ('part-000000.parquet') FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE USE_VECTORIZED_SCANNER = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = FALSE FORCE = FALSE;

-- 10
REMOVE '@"SALES"."CRM_STAGING"."_SYNCLINE_FILES"/trial/Account/dt=2024-01-01/run=run-0004/records/';

-- 11
SELECT
  COUNT(*),
  SUM(CASE WHEN (
    "ID" IS NULL
  ) THEN 1 ELSE 0 END),
  SUM(CASE WHEN "_SYNCLINE_DELETED" THEN 1 ELSE 0 END),
  (
    SELECT
      COUNT(*)
    FROM (
      SELECT DISTINCT
        "ID" AS "KEY_0"
      FROM (
        SELECT
          "ID" AS "ID",
          "NAME" AS "NAME",
          "STAMP" AS "STAMP",
          "AMOUNT" AS "AMOUNT",
          "_SYNCLINE_DELETED",
          "_SYNCLINE_SEQ",
          FALSE AS "_SYNCLINE_TOMBSTONE"
        FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT"
      ) AS "K"
    ) AS "KEYS"
  ),
  MIN(HEX_ENCODE("ID")),
  MAX(HEX_ENCODE("ID"))
FROM (
  SELECT
    "ID" AS "ID",
    "NAME" AS "NAME",
    "STAMP" AS "STAMP",
    "AMOUNT" AS "AMOUNT",
    "_SYNCLINE_DELETED",
    "_SYNCLINE_SEQ",
    FALSE AS "_SYNCLINE_TOMBSTONE"
  FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT"
) AS "S";

-- 12
SHOW TRANSACTIONS;

-- 13
BEGIN TRANSACTION NAME SYNCLINE_PROCESS;

-- 14, in the transaction
SELECT CURRENT_TRANSACTION();

-- 15, in the transaction
UPDATE "SALES"."CRM"."_SYNCLINE_WATERMARKS" SET "WATERMARK" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ), "VERSION" = "VERSION" + 1, "RUN_ID" = 'run-0004', "COMMITTED_AT" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ), "COLUMNS" = '["Id", "Name", "Stamp", "Amount"]', "TARGET" = 'Account', "DEFINITION" = 'definition'
WHERE
  "PIPELINE" = 'trial' AND (
    "STREAM" = 'Account' AND "VERSION" = 3
  );

-- 16, in the transaction
SELECT
  "PIPELINE",
  "STREAM",
  "TARGET"
FROM "SALES"."CRM"."_SYNCLINE_WATERMARKS"
ORDER BY
  "PIPELINE" NULLS FIRST,
  "STREAM" NULLS FIRST;

-- 17, in the transaction
SELECT
  "P"."ACTION",
  COUNT(*)
FROM (
  SELECT
    CASE
      WHEN "S"."_SYNCLINE_SEQ" IS NULL
      AND NOT (
        TRUE
        AND (
          "T"."STAMP" IS NULL
          OR "T"."STAMP" < CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ)
        )
      )
      THEN 'kept'
      WHEN "S"."_SYNCLINE_SEQ" IS NULL
      THEN 'absent'
      WHEN "S"."_SYNCLINE_DELETED" AND NOT NOT "T"."ID" IS NULL
      THEN 'gone'
      WHEN NOT NOT "T"."ID" IS NULL
      THEN 'insert'
      WHEN (
        NOT "T"."STAMP" IS NULL
        AND "T"."STAMP" >= CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ)
      )
      AND (
        "S"."STAMP" IS NULL OR "S"."STAMP" < "T"."STAMP"
      )
      THEN 'stale'
      WHEN "S"."_SYNCLINE_DELETED"
      THEN 'delete'
      WHEN (
        "S"."NAME" IS DISTINCT FROM "T"."NAME"
        OR "S"."STAMP" IS DISTINCT FROM "T"."STAMP"
        OR "S"."AMOUNT" IS DISTINCT FROM "T"."AMOUNT"
      )
      OR FALSE
      THEN 'update'
      ELSE 'unchanged'
    END AS "ACTION"
  FROM (
    SELECT
      "ID",
      "NAME",
      "STAMP",
      "AMOUNT",
      "_SYNCLINE_DELETED",
      "_SYNCLINE_SEQ",
      "_SYNCLINE_TOMBSTONE"
    FROM (
      SELECT
        "ID" AS "ID",
        "NAME" AS "NAME",
        "STAMP" AS "STAMP",
        "AMOUNT" AS "AMOUNT",
        "_SYNCLINE_DELETED",
        "_SYNCLINE_SEQ",
        FALSE AS "_SYNCLINE_TOMBSTONE"
      FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT"
    ) AS "LANDED"
  ) AS "S"
  FULL JOIN "SALES"."CRM"."ACCOUNT" AS "T"
    ON "S"."ID" = "T"."ID"
) AS "P"
GROUP BY
  "P"."ACTION";

-- 18, in the transaction
INSERT OVERWRITE INTO "SALES"."CRM"."ACCOUNT" (
  "ID",
  "NAME",
  "STAMP",
  "_SYNCLINE_SYNCED_AT",
  "AMOUNT"
)
SELECT
  CASE
    WHEN "P"."ACTION" IN ('insert', 'update')
    THEN "P"."OURS_0"
    ELSE "P"."THEIRS_0"
  END AS "ID",
  CASE
    WHEN "P"."ACTION" IN ('insert', 'update')
    THEN "P"."OURS_1"
    ELSE "P"."THEIRS_1"
  END AS "NAME",
  CASE
    WHEN "P"."ACTION" IN ('insert', 'update')
    THEN "P"."OURS_2"
    ELSE "P"."THEIRS_2"
  END AS "STAMP",
  CASE
    WHEN "P"."ACTION" IN ('insert', 'update', 'mark', 'absent')
    THEN CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
    ELSE "P"."THEIRS_3"
  END AS "_SYNCLINE_SYNCED_AT",
  CASE
    WHEN "P"."ACTION" IN ('insert', 'update')
    THEN "P"."OURS_3"
    ELSE "P"."THEIRS_4"
  END AS "AMOUNT"
FROM (
  SELECT
    CASE
      WHEN "S"."_SYNCLINE_SEQ" IS NULL
      AND NOT (
        TRUE
        AND (
          "T"."STAMP" IS NULL
          OR "T"."STAMP" < CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ)
        )
      )
      THEN 'kept'
      WHEN "S"."_SYNCLINE_SEQ" IS NULL
      THEN 'absent'
      WHEN "S"."_SYNCLINE_DELETED" AND NOT NOT "T"."ID" IS NULL
      THEN 'gone'
      WHEN NOT NOT "T"."ID" IS NULL
      THEN 'insert'
      WHEN (
        NOT "T"."STAMP" IS NULL
        AND "T"."STAMP" >= CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ)
      )
      AND (
        "S"."STAMP" IS NULL OR "S"."STAMP" < "T"."STAMP"
      )
      THEN 'stale'
      WHEN "S"."_SYNCLINE_DELETED"
      THEN 'delete'
      WHEN (
        "S"."NAME" IS DISTINCT FROM "T"."NAME"
        OR "S"."STAMP" IS DISTINCT FROM "T"."STAMP"
        OR "S"."AMOUNT" IS DISTINCT FROM "T"."AMOUNT"
      )
      OR FALSE
      THEN 'update'
      ELSE 'unchanged'
    END AS "ACTION",
    "S"."ID" AS "OURS_0",
    "S"."NAME" AS "OURS_1",
    "S"."STAMP" AS "OURS_2",
    "S"."AMOUNT" AS "OURS_3",
    "T"."ID" AS "THEIRS_0",
    "T"."NAME" AS "THEIRS_1",
    "T"."STAMP" AS "THEIRS_2",
    "T"."_SYNCLINE_SYNCED_AT" AS "THEIRS_3",
    "T"."AMOUNT" AS "THEIRS_4",
    "S"."_SYNCLINE_DELETED" AS "DELETED",
    "S"."_SYNCLINE_TOMBSTONE" AS "TOMBSTONE"
  FROM (
    SELECT
      "ID",
      "NAME",
      "STAMP",
      "AMOUNT",
      "_SYNCLINE_DELETED",
      "_SYNCLINE_SEQ",
      "_SYNCLINE_TOMBSTONE"
    FROM (
      SELECT
        "ID" AS "ID",
        "NAME" AS "NAME",
        "STAMP" AS "STAMP",
        "AMOUNT" AS "AMOUNT",
        "_SYNCLINE_DELETED",
        "_SYNCLINE_SEQ",
        FALSE AS "_SYNCLINE_TOMBSTONE"
      FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT"
    ) AS "LANDED"
  ) AS "S"
  FULL JOIN "SALES"."CRM"."ACCOUNT" AS "T"
    ON "S"."ID" = "T"."ID"
) AS "P"
WHERE
  NOT "P"."ACTION" IN ('gone', 'delete', 'absent');

-- 19, in the transaction
INSERT INTO "SALES"."CRM"."_SYNCLINE_RUNS" (
  "RUN_ID",
  "PIPELINE",
  "STARTED_AT",
  "COMMITTED_AT",
  "RUN"
)
SELECT
  'run-0004',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  '{"kind": "trial", "versions": {"Account": 4}}';

-- 20, in the transaction
COMMIT;

-- 21
DROP TABLE IF EXISTS "SALES"."CRM_STAGING"."S0000000000000000_RUN-0004_ACCOUNT";
