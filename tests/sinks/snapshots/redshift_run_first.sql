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
  1
FROM pg_namespace
WHERE
  nspname = 'crm';

-- 7
SET query_group TO 'syncline:trial:run-0001';

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
  1
FROM pg_namespace
WHERE
  nspname = 'crm';

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
CREATE SCHEMA IF NOT EXISTS "crm";

-- 13
CREATE TABLE IF NOT EXISTS "crm"."_syncline_watermarks" (
  "pipeline" VARCHAR(65535),
  "stream" VARCHAR(65535),
  "watermark" TIMESTAMP WITH TIME ZONE,
  "version" BIGINT,
  "run_id" VARCHAR(65535),
  "committed_at" TIMESTAMP WITH TIME ZONE,
  "columns" VARCHAR(65535),
  "target" VARCHAR(65535),
  "definition" VARCHAR(65535),
  PRIMARY KEY ("pipeline", "stream")
);

-- 14
CREATE TABLE IF NOT EXISTS "crm"."_syncline_runs" (
  "run_id" VARCHAR(65535),
  "pipeline" VARCHAR(65535),
  "started_at" TIMESTAMP WITH TIME ZONE,
  "committed_at" TIMESTAMP WITH TIME ZONE,
  "run" VARCHAR(65535)
);

-- 15
CREATE SCHEMA IF NOT EXISTS "crm_staging";

-- 16
CREATE TABLE IF NOT EXISTS "crm"."account" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP WITH TIME ZONE,
  "_syncline_synced_at" TIMESTAMP WITH TIME ZONE
);

-- 17
CREATE TABLE IF NOT EXISTS "crm"."contact" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP WITH TIME ZONE,
  "_syncline_synced_at" TIMESTAMP WITH TIME ZONE,
  "_syncline_deleted_at" TIMESTAMP WITH TIME ZONE
);

-- 18
SET query_group TO 'syncline:trial:run-0001:Account';

-- 19
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

-- 20
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_account";

-- 21
CREATE TABLE "crm_staging"."s0000000000000000_run-0001_account" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 22
COPY "crm_staging"."s0000000000000000_run-0001_account" FROM 's3://bucket/landing/for=redshift/trial/Account/dt=2024-01-01/run=run-0001/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST;

-- 23
SELECT pg_last_copy_count();

-- 24
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
        FROM "crm_staging"."s0000000000000000_run-0001_account"
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
  FROM "crm_staging"."s0000000000000000_run-0001_account"
) AS "s";

-- 25
DELETE FROM "crm_staging"."s0000000000000000_run-0001_account"
WHERE
  "_syncline_seq" IN (
    SELECT
      "r"."_syncline_seq"
    FROM (
      SELECT
        "_syncline_seq",
        ROW_NUMBER() OVER (
          PARTITION BY "id", OCTET_LENGTH("id")
          ORDER BY "stamp" DESC NULLS LAST, "_syncline_seq" DESC NULLS LAST
        ) AS "rank"
      FROM (
        SELECT
          "id" AS "id",
          "name" AS "name",
          CAST("stamp" AS TIMESTAMP WITH TIME ZONE) AS "stamp",
          "_syncline_deleted",
          "_syncline_seq",
          FALSE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0001_account"
      ) AS "s"
    ) AS "r"
    WHERE
      "r"."rank" > 1
  );

-- 26
SET query_group TO 'syncline:trial:run-0001:Contact';

-- 27
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_contact";

-- 28
CREATE TABLE "crm_staging"."s0000000000000000_run-0001_contact" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 29
COPY "crm_staging"."s0000000000000000_run-0001_contact" FROM 's3://bucket/landing/for=redshift/trial/Contact/dt=2024-01-01/run=run-0001/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST;

-- 30
SELECT pg_last_copy_count();

-- 31
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
        FROM "crm_staging"."s0000000000000000_run-0001_contact"
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
  FROM "crm_staging"."s0000000000000000_run-0001_contact"
) AS "s";

-- 32
SET query_group TO 'syncline:trial:run-0001';

-- 33, in transaction 1
BEGIN;

-- 34, in transaction 1
LOCK "crm"."_syncline_watermarks";

-- 35, in transaction 1
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
  'Account',
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
      "w"."pipeline" = 'trial' AND "w"."stream" = 'Account'
  );

-- 36, in transaction 1
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
  'Contact',
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
      "w"."pipeline" = 'trial' AND "w"."stream" = 'Contact'
  );

-- 37, in transaction 1
COMMIT;

-- 38, in transaction 2
BEGIN;

-- 39, in transaction 2
LOCK "crm"."_syncline_watermarks";

-- 40, in transaction 2
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CASE
  WHEN "stream" = 'Account'
  THEN CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMP WITH TIME ZONE)
  WHEN "stream" = 'Contact'
  THEN CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMP WITH TIME ZONE)
END, "version" = "version" + 1, "run_id" = 'run-0001', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE), "columns" = CASE
  WHEN "stream" = 'Account'
  THEN '["Id", "Name", "Stamp"]'
  WHEN "stream" = 'Contact'
  THEN '["Id", "Name", "Stamp"]'
END, "target" = CASE
  WHEN "stream" = 'Account'
  THEN 'Account'
  WHEN "stream" = 'Contact'
  THEN 'Contact'
END, "definition" = CASE
  WHEN "stream" = 'Account'
  THEN 'definition'
  WHEN "stream" = 'Contact'
  THEN 'definition'
END
WHERE
  "pipeline" = 'trial'
  AND (
    (
      "stream" = 'Account' AND "version" = 0
    )
    OR (
      "stream" = 'Contact' AND "version" = 0
    )
  );

-- 41, in transaction 2
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 42, in transaction 2
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
    FROM "crm_staging"."s0000000000000000_run-0001_account"
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

-- 43, in transaction 2
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
    FROM "crm_staging"."s0000000000000000_run-0001_account"
  ) AS "landed"
) AS "s"
LEFT JOIN "crm"."account" AS "t"
  ON (
    "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
  )
WHERE
  NOT NOT "t"."id" IS NULL AND NOT "s"."_syncline_deleted";

-- 44, in transaction 2
UPDATE "crm"."contact" SET "name" = "s"."name", "stamp" = "s"."stamp", "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE), "_syncline_deleted_at" = CASE
  WHEN "s"."_syncline_deleted"
  THEN COALESCE(
    "crm"."contact"."_syncline_deleted_at",
    CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE)
  )
  ELSE NULL
END
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
    FROM "crm_staging"."s0000000000000000_run-0001_contact"
  ) AS "landed"
) AS "s"
WHERE
  (
    "s"."id" = "crm"."contact"."id"
    AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("crm"."contact"."id")
  )
  AND (
    NOT "s"."_syncline_tombstone"
    AND NOT (
      NOT "crm"."contact"."stamp" IS NULL
      AND (
        "s"."stamp" IS NULL OR "s"."stamp" < "crm"."contact"."stamp"
      )
    )
    AND (
      (
        COALESCE(
          "s"."name" <> "crm"."contact"."name"
          OR OCTET_LENGTH("s"."name") <> OCTET_LENGTH("crm"."contact"."name"),
          NOT (
            "s"."name" IS NULL AND "crm"."contact"."name" IS NULL
          )
        )
        OR COALESCE(
          "s"."stamp" <> "crm"."contact"."stamp",
          NOT (
            "s"."stamp" IS NULL AND "crm"."contact"."stamp" IS NULL
          )
        )
      )
      OR (
        NOT "s"."_syncline_deleted"
        AND NOT "crm"."contact"."_syncline_deleted_at" IS NULL
      )
    )
  );

-- 45, in transaction 2
INSERT INTO "crm"."contact" (
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
    FROM "crm_staging"."s0000000000000000_run-0001_contact"
  ) AS "landed"
) AS "s"
LEFT JOIN "crm"."contact" AS "t"
  ON (
    "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
  )
WHERE
  NOT NOT "t"."id" IS NULL AND NOT "s"."_syncline_deleted";

-- 46, in transaction 2
INSERT INTO "crm"."_syncline_runs" (
  "run_id",
  "pipeline",
  "started_at",
  "committed_at",
  "run"
)
SELECT
  'run-0001',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE),
  '{"kind": "trial", "versions": {"Account": 1, "Contact": 1}}';

-- 47, in transaction 2
COMMIT;

-- 48
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_account";

-- 49
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_contact";
