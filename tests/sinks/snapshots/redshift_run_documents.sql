-- 1
SET timezone TO 'UTC';

-- 2
SET extra_float_digits TO 2;

-- 3
SET statement_timeout TO 3600000;

-- 4
SET query_group TO 'syncline:trial';

-- 5
SELECT
  table_name,
  column_name,
  data_type,
  numeric_precision,
  numeric_scale
FROM svv_columns
WHERE
  table_schema = 'crm'
ORDER BY
  table_name NULLS FIRST,
  ordinal_position NULLS FIRST;

-- 6
SELECT
  "stream",
  "watermark",
  "version",
  "run_id",
  "committed_at",
  "columns",
  "target",
  "definition"
FROM "crm"."_syncline_watermarks"
WHERE
  "pipeline" = 'trial'
ORDER BY
  "stream" NULLS FIRST;

-- 7
SET query_group TO 'syncline:trial:run-0006';

-- 8
SELECT
  table_name,
  column_name,
  data_type,
  numeric_precision,
  numeric_scale
FROM svv_columns
WHERE
  table_schema = 'crm'
ORDER BY
  table_name NULLS FIRST,
  ordinal_position NULLS FIRST;

-- 9
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 10
SELECT
  table_name,
  column_name,
  data_type,
  numeric_precision,
  numeric_scale
FROM svv_columns
WHERE
  table_schema = 'crm_staging'
ORDER BY
  table_name NULLS FIRST,
  ordinal_position NULLS FIRST;

-- 11
SELECT
  1
FROM pg_namespace
WHERE
  nspname = 'crm_staging';

-- 12
CREATE TABLE IF NOT EXISTS "crm"."ticket" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP WITH TIME ZONE,
  "doc" SUPER,
  "_syncline_synced_at" TIMESTAMP WITH TIME ZONE
);

-- 13
SET query_group TO 'syncline:trial:run-0006:Ticket';

-- 14
SELECT
  table_name,
  column_name,
  data_type,
  numeric_precision,
  numeric_scale
FROM svv_columns
WHERE
  table_schema = 'crm'
ORDER BY
  table_name NULLS FIRST,
  ordinal_position NULLS FIRST;

-- 15
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0006_ticket";

-- 16
CREATE TABLE "crm_staging"."s0000000000000000_run-0006_ticket" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "doc" VARCHAR(65535),
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 17
COPY "crm_staging"."s0000000000000000_run-0006_ticket" FROM 's3://bucket/landing/for=redshift/trial/Ticket/dt=2024-01-01/run=run-0006/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST;

-- 18
SELECT pg_last_copy_count();

-- 19
SELECT
  COUNT(*),
  SUM(CASE WHEN (
    "id" IS NULL
  ) THEN 1 ELSE 0 END),
  SUM(CASE WHEN "_syncline_deleted" THEN 1 ELSE 0 END),
  (
    SELECT
      COUNT(*)
    FROM (
      SELECT DISTINCT
        "id" AS "key_0",
        OCTET_LENGTH("id") AS "key_1"
      FROM (
        SELECT
          "id" AS "id",
          "name" AS "name",
          CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
          "doc" AS "doc",
          "_syncline_deleted",
          "_syncline_seq",
          FALSE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0006_ticket"
      ) AS "k"
    ) AS "keys"
  ),
  MIN("id"),
  MAX("id")
FROM (
  SELECT
    "id" AS "id",
    "name" AS "name",
    CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
    "doc" AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0006_ticket"
) AS "s";

-- 20
SELECT
  COUNT(
    CASE
      WHEN STRPOS(
        REPLACE("s"."doc", (
          '' || CHR(92) || '' || CHR(92) || ''
        ), ''),
        (
          '' || CHR(92) || 'u0000'
        )
      ) > 0
      THEN 1
    END
  )
FROM (
  SELECT
    "id" AS "id",
    "name" AS "name",
    CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
    "doc" AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0006_ticket"
) AS "s";

-- 21
SET query_group TO 'syncline:trial:run-0006';

-- 22, in transaction 1
BEGIN;

-- 23, in transaction 1
LOCK "crm"."_syncline_watermarks";

-- 24, in transaction 1
INSERT INTO "crm"."_syncline_watermarks" (
  "pipeline",
  "stream",
  "version",
  "run_id",
  "committed_at",
  "columns"
)
SELECT
  'trial',
  'Ticket',
  0,
  '',
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE),
  '[]'
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "crm"."_syncline_watermarks" AS "w"
    WHERE
      "w"."pipeline" = 'trial' AND "w"."stream" = 'Ticket'
  );

-- 25, in transaction 1
COMMIT;

-- 26, in transaction 2
BEGIN;

-- 27, in transaction 2
LOCK "crm"."_syncline_watermarks";

-- 28, in transaction 2
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMP WITH TIME ZONE), "version" = "version" + 1, "run_id" = 'run-0006', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE), "columns" = '["Id", "Name", "Stamp", "Doc"]', "target" = 'Ticket', "definition" = 'definition'
WHERE
  "pipeline" = 'trial' AND (
    "stream" = 'Ticket' AND "version" = 0
  );

-- 29, in transaction 2
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 30, in transaction 2
UPDATE "crm"."ticket" SET "name" = "s"."name", "stamp" = "s"."stamp", "doc" = "s"."doc", "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
FROM (
  SELECT
    "id",
    "name",
    "stamp",
    JSON_PARSE("doc") AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "doc" AS "doc",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0006_ticket"
  ) AS "landed"
) AS "s"
WHERE
  (
    "s"."id" = "crm"."ticket"."id"
    AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("crm"."ticket"."id")
  )
  AND (
    NOT "s"."_syncline_deleted"
    AND NOT (
      NOT "crm"."ticket"."stamp" IS NULL
      AND (
        "s"."stamp" IS NULL OR "s"."stamp" < "crm"."ticket"."stamp"
      )
    )
    AND (
      COALESCE(
        "s"."name" <> "crm"."ticket"."name"
        OR OCTET_LENGTH("s"."name") <> OCTET_LENGTH("crm"."ticket"."name"),
        NOT (
          "s"."name" IS NULL AND "crm"."ticket"."name" IS NULL
        )
      )
      OR COALESCE(
        "s"."stamp" <> "crm"."ticket"."stamp",
        NOT (
          "s"."stamp" IS NULL AND "crm"."ticket"."stamp" IS NULL
        )
      )
      OR COALESCE(
        JSON_SERIALIZE("s"."doc") <> JSON_SERIALIZE("crm"."ticket"."doc"),
        NOT (
          JSON_SERIALIZE("s"."doc") IS NULL
          AND JSON_SERIALIZE("crm"."ticket"."doc") IS NULL
        )
      )
    )
  );

-- 31, in transaction 2
INSERT INTO "crm"."ticket" (
  "id",
  "name",
  "stamp",
  "doc",
  "_syncline_synced_at"
)
SELECT
  "s"."id",
  "s"."name",
  "s"."stamp",
  "s"."doc",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
FROM (
  SELECT
    "id",
    "name",
    "stamp",
    JSON_PARSE("doc") AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "doc" AS "doc",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0006_ticket"
  ) AS "landed"
) AS "s"
LEFT JOIN "crm"."ticket" AS "t"
  ON (
    "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
  )
WHERE
  NOT NOT "t"."id" IS NULL AND NOT "s"."_syncline_deleted";

-- 32, in transaction 2
INSERT INTO "crm"."_syncline_runs" (
  "run_id",
  "pipeline",
  "started_at",
  "committed_at",
  "run"
)
SELECT
  'run-0006',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE),
  '{"kind": "trial", "versions": {"Ticket": 1}}';

-- 33, in transaction 2
COMMIT;

-- 34
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0006_ticket";
