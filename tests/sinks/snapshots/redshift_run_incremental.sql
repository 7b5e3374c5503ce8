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
SET query_group TO 'syncline:trial:run-0002';

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
SET query_group TO 'syncline:trial:run-0002:Account';

-- 13
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0002_account";

-- 14
CREATE TABLE "crm_staging"."s0000000000000000_run-0002_account" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 15
COPY "crm_staging"."s0000000000000000_run-0002_account" FROM 's3://bucket/landing/for=redshift/trial/Account/dt=2024-01-01/run=run-0002/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST;

-- 16
SELECT pg_last_copy_count();

-- 17
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0002_account_t";

-- 18
CREATE TABLE "crm_staging"."s0000000000000000_run-0002_account_t" (
  "id" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 19
COPY "crm_staging"."s0000000000000000_run-0002_account_t" FROM 's3://bucket/landing/for=redshift/trial/Account/dt=2024-01-01/run=run-0002/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST;

-- 20
SELECT pg_last_copy_count();

-- 21
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
          "_syncline_deleted",
          "_syncline_seq",
          FALSE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0002_account"
        UNION ALL
        SELECT
          "id" AS "id",
          CAST(NULL AS VARCHAR(65535)) AS "name",
          CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
          "_syncline_deleted",
          "_syncline_seq",
          TRUE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0002_account_t"
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
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0002_account"
  UNION ALL
  SELECT
    "id" AS "id",
    CAST(NULL AS VARCHAR(65535)) AS "name",
    CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
    "_syncline_deleted",
    "_syncline_seq",
    TRUE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0002_account_t"
) AS "s";

-- 22
SET query_group TO 'syncline:trial:run-0002';

-- 23, in transaction 1
BEGIN;

-- 24, in transaction 1
LOCK "crm"."_syncline_watermarks";

-- 25, in transaction 1
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMP WITH TIME ZONE), "version" = "version" + 1, "run_id" = 'run-0002', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE), "columns" = '["Id", "Name", "Stamp"]', "target" = 'Account', "definition" = 'definition'
WHERE
  "pipeline" = 'trial' AND (
    "stream" = 'Account' AND "version" = 1
  );

-- 26, in transaction 1
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 27, in transaction 1
UPDATE "crm"."account" SET "name" = "s"."name", "stamp" = "s"."stamp", "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
FROM (
  SELECT
    "id",
    "name",
    "stamp",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0002_account"
    UNION ALL
    SELECT
      "id" AS "id",
      CAST(NULL AS VARCHAR(65535)) AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "_syncline_deleted",
      "_syncline_seq",
      TRUE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0002_account_t"
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
    )
  );

-- 28, in transaction 1
DELETE FROM "crm"."account"
WHERE
  EXISTS(
    SELECT
      1
    FROM (
      SELECT
        "id",
        "name",
        "stamp",
        "_syncline_deleted",
        "_syncline_seq",
        "_syncline_tombstone"
      FROM (
        SELECT
          "id" AS "id",
          "name" AS "name",
          CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
          "_syncline_deleted",
          "_syncline_seq",
          FALSE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0002_account"
        UNION ALL
        SELECT
          "id" AS "id",
          CAST(NULL AS VARCHAR(65535)) AS "name",
          CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
          "_syncline_deleted",
          "_syncline_seq",
          TRUE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0002_account_t"
      ) AS "landed"
    ) AS "s"
    WHERE
      (
        "s"."id" = "crm"."account"."id"
        AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("crm"."account"."id")
      )
      AND (
        "s"."_syncline_deleted"
        AND NOT (
          NOT "crm"."account"."stamp" IS NULL
          AND (
            "s"."stamp" IS NULL OR "s"."stamp" < "crm"."account"."stamp"
          )
        )
      )
  );

-- 29, in transaction 1
INSERT INTO "crm"."account" (
  "id",
  "name",
  "stamp",
  "_syncline_synced_at"
)
SELECT
  "s"."id",
  "s"."name",
  "s"."stamp",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
FROM (
  SELECT
    "id",
    "name",
    "stamp",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0002_account"
    UNION ALL
    SELECT
      "id" AS "id",
      CAST(NULL AS VARCHAR(65535)) AS "name",
      CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
      "_syncline_deleted",
      "_syncline_seq",
      TRUE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0002_account_t"
  ) AS "landed"
) AS "s"
LEFT JOIN "crm"."account" AS "t"
  ON (
    "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
  )
WHERE
  NOT NOT "t"."id" IS NULL AND NOT "s"."_syncline_deleted";

-- 30, in transaction 1
INSERT INTO "crm"."_syncline_runs" (
  "run_id",
  "pipeline",
  "started_at",
  "committed_at",
  "run"
)
SELECT
  'run-0002',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE),
  '{"kind": "trial", "versions": {"Account": 2}}';

-- 31, in transaction 1
COMMIT;

-- 32
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0002_account";

-- 33
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0002_account_t";
