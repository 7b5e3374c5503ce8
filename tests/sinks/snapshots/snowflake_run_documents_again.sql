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
CREATE OR REPLACE TRANSIENT TABLE "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET" (
  "ID" VARCHAR,
  "NAME" VARCHAR,
  "STAMP" TIMESTAMPTZ(6),
  "DOC" VARCHAR,
  "_SYNCLINE_DELETED" BOOLEAN,
  "_SYNCLINE_SEQ" DECIMAL(19, 0)
);

-- 7
CREATE STAGE IF NOT EXISTS "SALES"."CRM_STAGING"."_SYNCLINE_FILES";

-- 8
PUT 'file:///tmp/syncline-put/part-*.parquet' '@"SALES"."CRM_STAGING"."_SYNCLINE_FILES"/trial/Ticket/dt=2024-01-01/run=run-0006/records/' AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE PARALLEL = 4;

-- 9
COPY INTO "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET" FROM '@"SALES"."CRM_STAGING"."_SYNCLINE_FILES"/trial/Ticket/dt=2024-01-01/run=run-0006/records/' FILES = ('part-000000.parquet') FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE USE_VECTORIZED_SCANNER = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = FALSE FORCE = FALSE;

-- 10
REMOVE '@"SALES"."CRM_STAGING"."_SYNCLINE_FILES"/trial/Ticket/dt=2024-01-01/run=run-0006/records/';

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
          "DOC" AS "DOC",
          "_SYNCLINE_DELETED",
          "_SYNCLINE_SEQ",
          FALSE AS "_SYNCLINE_TOMBSTONE"
        FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET"
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
    "DOC" AS "DOC",
    "_SYNCLINE_DELETED",
    "_SYNCLINE_SEQ",
    FALSE AS "_SYNCLINE_TOMBSTONE"
  FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET"
) AS "S";

-- 12
SHOW TRANSACTIONS;

-- 13
BEGIN TRANSACTION NAME SYNCLINE_PROCESS;

-- 14, in the transaction
SELECT CURRENT_TRANSACTION();

-- 15, in the transaction
UPDATE "SALES"."CRM"."_SYNCLINE_WATERMARKS" SET "WATERMARK" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ), "VERSION" = "VERSION" + 1, "RUN_ID" = 'run-0006', "COMMITTED_AT" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ), "COLUMNS" = '["Id", "Name", "Stamp", "Doc"]', "TARGET" = 'Ticket', "DEFINITION" = 'definition'
WHERE
  "PIPELINE" = 'trial' AND (
    "STREAM" = 'Ticket' AND "VERSION" = 1
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
MERGE INTO "SALES"."CRM"."TICKET" AS "T"
USING (
  SELECT
    "ID",
    "NAME",
    "STAMP",
    PARSE_JSON("DOC") AS "DOC",
    "_SYNCLINE_DELETED",
    "_SYNCLINE_SEQ",
    "_SYNCLINE_TOMBSTONE"
  FROM (
    SELECT
      "ID" AS "ID",
      "NAME" AS "NAME",
      "STAMP" AS "STAMP",
      "DOC" AS "DOC",
      "_SYNCLINE_DELETED",
      "_SYNCLINE_SEQ",
      FALSE AS "_SYNCLINE_TOMBSTONE"
    FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET"
  ) AS "LANDED"
) AS "S"
ON "S"."ID" = "T"."ID" AND "T"."ID" BETWEEN '1' AND '1'
WHEN MATCHED AND "S"."_SYNCLINE_DELETED"
AND NOT (
  NOT "T"."STAMP" IS NULL
  AND (
    "S"."STAMP" IS NULL OR "S"."STAMP" < "T"."STAMP"
  )
) THEN DELETE
WHEN MATCHED AND NOT "S"."_SYNCLINE_DELETED"
AND NOT (
  NOT "T"."STAMP" IS NULL
  AND (
    "S"."STAMP" IS NULL OR "S"."STAMP" < "T"."STAMP"
  )
)
AND (
  "S"."NAME" IS DISTINCT FROM "T"."NAME"
  OR "S"."STAMP" IS DISTINCT FROM "T"."STAMP"
  OR TO_JSON("S"."DOC") IS DISTINCT FROM TO_JSON("T"."DOC")
) THEN UPDATE SET
  "NAME" = "S"."NAME",
  "STAMP" = "S"."STAMP",
  "DOC" = "S"."DOC",
  "_SYNCLINE_SYNCED_AT" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
WHEN NOT MATCHED AND NOT "S"."_SYNCLINE_DELETED" THEN INSERT ("ID", "NAME", "STAMP", "DOC", "_SYNCLINE_SYNCED_AT") VALUES (
  "S"."ID",
  "S"."NAME",
  "S"."STAMP",
  "S"."DOC",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
);

-- 18, in the transaction
SELECT
  "ACTION",
  COUNT(*)
FROM (
  SELECT
    CASE
      WHEN "S"."_SYNCLINE_DELETED" AND NOT NOT "T"."ID" IS NULL
      THEN 'gone'
      WHEN NOT "T"."ID" IS NULL
      AND (
        NOT "T"."STAMP" IS NULL
        AND (
          "S"."STAMP" IS NULL OR "S"."STAMP" < "T"."STAMP"
        )
      )
      THEN 'stale'
      WHEN "S"."_SYNCLINE_DELETED" AND NOT "T"."ID" IS NULL
      THEN 'wrong'
      WHEN NOT "T"."ID" IS NULL
      AND NOT "S"."_SYNCLINE_DELETED"
      AND NOT (
        "S"."NAME" IS DISTINCT FROM "T"."NAME"
        OR "S"."STAMP" IS DISTINCT FROM "T"."STAMP"
        OR TO_JSON("S"."DOC") IS DISTINCT FROM TO_JSON("T"."DOC")
      )
      AND TRUE
      THEN 'equal'
      ELSE 'wrong'
    END AS "ACTION"
  FROM (
    SELECT
      "ID",
      "NAME",
      "STAMP",
      PARSE_JSON("DOC") AS "DOC",
      "_SYNCLINE_DELETED",
      "_SYNCLINE_SEQ",
      "_SYNCLINE_TOMBSTONE"
    FROM (
      SELECT
        "ID" AS "ID",
        "NAME" AS "NAME",
        "STAMP" AS "STAMP",
        "DOC" AS "DOC",
        "_SYNCLINE_DELETED",
        "_SYNCLINE_SEQ",
        FALSE AS "_SYNCLINE_TOMBSTONE"
      FROM "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET"
    ) AS "LANDED"
  ) AS "S"
  LEFT JOIN "SALES"."CRM"."TICKET" AS "T"
    ON (
      "S"."ID" = "T"."ID" AND "T"."ID" BETWEEN '1' AND '1'
    )
) AS "E"
GROUP BY
  "ACTION";

-- 19, in the transaction
INSERT INTO "SALES"."CRM"."_SYNCLINE_RUNS" (
  "RUN_ID",
  "PIPELINE",
  "STARTED_AT",
  "COMMITTED_AT",
  "RUN"
)
SELECT
  'run-0006',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  '{"kind": "trial", "versions": {"Ticket": 2}}';

-- 20, in the transaction
COMMIT;

-- 21
DROP TABLE IF EXISTS "SALES"."CRM_STAGING"."S0000000000000000_RUN-0006_TICKET";
