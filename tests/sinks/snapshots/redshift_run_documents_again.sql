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
SET query_group TO 'syncline:trial:run-0007';

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
SET query_group TO 'syncline:trial:run-0007:Ticket';

-- 13
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0007_ticket";

-- 14
CREATE TABLE "crm_staging"."s0000000000000000_run-0007_ticket" (
  "id" VARCHAR(65535),
  "name" VARCHAR(65535),
  "stamp" TIMESTAMP,
  "doc" VARCHAR(65535),
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 15
COPY "crm_staging"."s0000000000000000_run-0007_ticket" FROM 's3://bucket/landing/for=redshift/trial/Ticket/dt=2024-01-01/run=run-0007/<16 hex digits>.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST;

-- 16
SELECT pg_last_copy_count();

-- 17
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
        FROM "crm_staging"."s0000000000000000_run-0007_ticket"
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
  FROM "crm_staging"."s0000000000000000_run-0007_ticket"
) AS "s";

-- 18
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
  FROM "crm_staging"."s0000000000000000_run-0007_ticket"
) AS "s";

-- 19
SET query_group TO 'syncline:trial:run-0007';

-- 20, in transaction 1
BEGIN;

-- 21, in transaction 1
LOCK "crm"."_syncline_watermarks";

-- 22, in transaction 1
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMP WITH TIME ZONE), "version" = "version" + 1, "run_id" = 'run-0007', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE), "columns" = '["Id", "Name", "Stamp", "Doc"]', "target" = 'Ticket', "definition" = 'definition'
WHERE
  "pipeline" = 'trial' AND (
    "stream" = 'Ticket' AND "version" = 1
  );

-- 23, in transaction 1
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 24, in transaction 1
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
    FROM "crm_staging"."s0000000000000000_run-0007_ticket"
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

-- 25, in transaction 1
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
    FROM "crm_staging"."s0000000000000000_run-0007_ticket"
  ) AS "landed"
) AS "s"
LEFT JOIN "crm"."ticket" AS "t"
  ON (
    "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
  )
WHERE
  NOT NOT "t"."id" IS NULL AND NOT "s"."_syncline_deleted";

-- 26, in transaction 1
SELECT
  "action",
  COUNT(*)
FROM (
  SELECT
    CASE
      WHEN "s"."_syncline_deleted" AND NOT NOT "t"."id" IS NULL
      THEN 'gone'
      WHEN NOT "t"."id" IS NULL
      AND (
        NOT "t"."stamp" IS NULL
        AND (
          "s"."stamp" IS NULL OR "s"."stamp" < "t"."stamp"
        )
      )
      THEN 'stale'
      WHEN "s"."_syncline_deleted" AND NOT "t"."id" IS NULL
      THEN 'wrong'
      WHEN NOT "t"."id" IS NULL
      AND NOT "s"."_syncline_deleted"
      AND NOT (
        COALESCE(
          "s"."name" <> "t"."name" OR OCTET_LENGTH("s"."name") <> OCTET_LENGTH("t"."name"),
          NOT (
            "s"."name" IS NULL AND "t"."name" IS NULL
          )
        )
        OR COALESCE("s"."stamp" <> "t"."stamp", NOT (
          "s"."stamp" IS NULL AND "t"."stamp" IS NULL
        ))
        OR COALESCE(
          JSON_SERIALIZE("s"."doc") <> JSON_SERIALIZE("t"."doc"),
          NOT (
            JSON_SERIALIZE("s"."doc") IS NULL AND JSON_SERIALIZE("t"."doc") IS NULL
          )
        )
      )
      AND TRUE
      THEN 'equal'
      ELSE 'wrong'
    END AS "action"
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
      FROM "crm_staging"."s0000000000000000_run-0007_ticket"
    ) AS "landed"
  ) AS "s"
  LEFT JOIN "crm"."ticket" AS "t"
    ON (
      "s"."id" = "t"."id" AND OCTET_LENGTH("s"."id") = OCTET_LENGTH("t"."id")
    )
) AS "e"
GROUP BY
  "action";

-- 27, in transaction 1
INSERT INTO "crm"."_syncline_runs" (
  "run_id",
  "pipeline",
  "started_at",
  "committed_at",
  "run"
)
SELECT
  'run-0007',
  'trial',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMP WITH TIME ZONE),
  '{"kind": "trial", "versions": {"Ticket": 2}}';

-- 28, in transaction 1
COMMIT;

-- 29
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0007_ticket";
