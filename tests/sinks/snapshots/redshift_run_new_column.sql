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
SET query_group TO 'syncline:trial:run-0003';

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
ALTER TABLE "crm"."account"
ADD COLUMN "amount" BIGINT;

-- 13
ALTER TABLE "crm"."account"
ADD COLUMN "tags" SUPER;

-- 14
SET query_group TO 'syncline:trial:run-0003:Account';

-- 15
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

-- 16
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0003_account";

-- 17
CREATE TABLE "crm_staging"."s0000000000000000_run-0003_account" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "amount" BIGINT,
  "tags" SUPER,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 18
COPY "crm_staging"."s0000000000000000_run-0003_account" FROM 's3://bucket/landing/for=redshift/trial/Account/dt=2024-01-01/run=run-0003/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST SERIALIZETOJSON;

-- 19
SELECT pg_last_copy_count();

-- 20
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
          "amount" AS "amount",
          "tags" AS "tags",
          "_syncline_deleted",
          "_syncline_seq",
          FALSE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0003_account"
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
    "amount" AS "amount",
    "tags" AS "tags",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0003_account"
) AS "s";

-- 21
SET query_group TO 'syncline:trial:run-0003';

-- 22, in transaction 1
BEGIN;

-- 23, in transaction 1
LOCK "crm"."_syncline_watermarks";

-- 24, in transaction 1
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMP WITH TIME ZONE), "version" = "version" + 1, "run_id" = 'run-0003', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE), "columns" = '["Id", "Name", "Stamp", "Amount", "Tags"]', "target" = 'Account', "definition" = 'definition'
WHERE
  "pipeline" = 'trial' AND (
    "stream" = 'Account' AND "version" = 2
  );

-- 25, in transaction 1
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 26, in transaction 1
UPDATE "crm"."account" SET "name" = "s"."name", "stamp" = "s"."stamp", "amount" = "s"."amount", "tags" = "s"."tags", "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
FROM (
  SELECT
    "id",
    "name",
    "stamp",
    "amount",
    "tags",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "amount" AS "amount",
      "tags" AS "tags",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0003_account"
  ) AS "landed"
) AS "s"
WHERE
  (
    "s"."id" = "crm"."account"."id"
    AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("crm"."account"."id")
  )
  AND (
    NOT "s"."_syncline_deleted"
    AND NOT (
      NOT "crm"."account"."stamp" IS NULL
      AND (
        "s"."stamp" IS NULL OR "s"."stamp" < "crm"."account"."stamp"
      )
    )
    AND (
      COALESCE(
        "s"."name" <> "crm"."account"."name"
        OR OCTET_LENGTH("s"."name") <> OCTET_LENGTH("crm"."account"."name"),
        NOT (
          "s"."name" IS NULL AND "crm"."account"."name" IS NULL
        )
      )
      OR COALESCE(
        "s"."stamp" <> "crm"."account"."stamp",
        NOT (
          "s"."stamp" IS NULL AND "crm"."account"."stamp" IS NULL
        )
      )
      OR COALESCE(
        "s"."amount" <> "crm"."account"."amount",
        NOT (
          "s"."amount" IS NULL AND "crm"."account"."amount" IS NULL
        )
      )
      OR COALESCE(
        JSON_SERIALIZE("s"."tags") <> JSON_SERIALIZE("crm"."account"."tags"),
        NOT (
          JSON_SERIALIZE("s"."tags") IS NULL
          AND JSON_SERIALIZE("crm"."account"."tags") IS NULL
        )
      )
    )
  );

-- 27, in transaction 1
INSERT INTO "crm"."account" (
  "id",
  "name",
  "stamp",
  "amount",
  "tags",
  "_syncline_synced_at"
)
SELECT
  "s"."id",
  "s"."name",
  "s"."stamp",
  "s"."amount",
  "s"."tags",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
FROM (
  SELECT
    "id",
    "name",
    "stamp",
    "amount",
    "tags",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "amount" AS "amount",
      "tags" AS "tags",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0003_account"
  ) AS "landed"
) AS "s"
LEFT JOIN "crm"."account" AS "t"
  ON (
    "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
  )
WHERE
  NOT NOT "t"."id" IS NULL AND NOT "s"."_syncline_deleted";

-- 28, in transaction 1
INSERT INTO "crm"."_syncline_runs" (
  "run_id",
  "pipeline",
  "started_at",
  "committed_at",
  "run"
)
SELECT
  'run-0003',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE),
  '{"kind": "trial", "versions": {"Account": 3}}';

-- 29, in transaction 1
COMMIT;

-- 30
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0003_account";
