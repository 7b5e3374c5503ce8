-- 1
SELECT
  c.relname,
  a.attname,
  FORMAT_TYPE(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c
  ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE
  n.nspname = 'crm'
ORDER BY
  c.relname NULLS FIRST,
  a.attnum NULLS FIRST;

-- 2
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

-- 3
SELECT
  c.relname,
  a.attname,
  FORMAT_TYPE(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c
  ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE
  n.nspname = 'crm'
ORDER BY
  c.relname NULLS FIRST,
  a.attnum NULLS FIRST;

-- 4
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 5
SELECT
  c.relname,
  a.attname,
  FORMAT_TYPE(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c
  ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE
  n.nspname = 'crm_staging'
ORDER BY
  c.relname NULLS FIRST,
  a.attnum NULLS FIRST;

-- 6
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0007_ticket";

-- 7
CREATE UNLOGGED TABLE "crm_staging"."s0000000000000000_run-0007_ticket" (
  "id" TEXT,
  "name" TEXT,
  "stamp" TIMESTAMPTZ,
  "doc" TEXT,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 8
COPY "crm_staging"."s0000000000000000_run-0007_ticket" FROM STDIN WITH (FORMAT csv);

-- 9
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
        "id" AS "key_0"
      FROM (
        SELECT
          "id" AS "id",
          "name" AS "name",
          "stamp" AS "stamp",
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
    "stamp" AS "stamp",
    "doc" AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0007_ticket"
) AS "s";

-- 10
SELECT
  COUNT(CASE WHEN STRPOS(REPLACE("s"."doc", '\\', ''), '\u0000') > 0 THEN 1 END)
FROM (
  SELECT
    "id" AS "id",
    "name" AS "name",
    "stamp" AS "stamp",
    "doc" AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0007_ticket"
) AS "s";

-- 11, in the transaction
BEGIN;

-- 12, in the transaction
LOCK TABLE "crm"."_syncline_watermarks" IN SHARE ROW EXCLUSIVE MODE;

-- 13, in the transaction
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ), "version" = "version" + 1, "run_id" = 'run-0007', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ), "columns" = '["Id", "Name", "Stamp", "Doc"]', "target" = 'Ticket', "definition" = 'definition'
WHERE
  "pipeline" = 'trial' AND (
    "stream" = 'Ticket' AND "version" = 1
  );

-- 14, in the transaction
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 15, in the transaction
WITH changed AS (MERGE INTO "crm"."ticket" AS "t"
USING (
  SELECT
    "id",
    "name",
    "stamp",
    CAST("doc" AS JSONB) AS "doc",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone"
  FROM (
    SELECT
      "id" AS "id",
      "name" AS "name",
      "stamp" AS "stamp",
      "doc" AS "doc",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0007_ticket"
  ) AS "landed"
) AS "s"
ON "s"."id" = "t"."id"
WHEN MATCHED AND "s"."_syncline_deleted"
AND NOT (
  NOT "t"."stamp" IS NULL
  AND (
    "s"."stamp" IS NULL OR "s"."stamp" < "t"."stamp"
  )
) THEN DELETE
WHEN MATCHED AND NOT "s"."_syncline_deleted"
AND NOT (
  NOT "t"."stamp" IS NULL
  AND (
    "s"."stamp" IS NULL OR "s"."stamp" < "t"."stamp"
  )
)
AND (
  "s"."name" IS DISTINCT FROM "t"."name"
  OR "s"."stamp" IS DISTINCT FROM "t"."stamp"
  OR "s"."doc" IS DISTINCT FROM "t"."doc"
) THEN UPDATE SET
  "name" = "s"."name",
  "stamp" = "s"."stamp",
  "doc" = "s"."doc",
  "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
WHEN NOT MATCHED AND NOT "s"."_syncline_deleted" THEN INSERT ("id", "name", "stamp", "doc", "_syncline_synced_at") VALUES (
  "s"."id",
  "s"."name",
  "s"."stamp",
  "s"."doc",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
) RETURNING merge_action() AS action) SELECT COUNT(*) FILTER (WHERE action = 'INSERT'), COUNT(*) FILTER (WHERE action = 'UPDATE'), COUNT(*) FILTER (WHERE action = 'DELETE') FROM changed;

-- 16, in the transaction
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
        "s"."name" IS DISTINCT FROM "t"."name"
        OR "s"."stamp" IS DISTINCT FROM "t"."stamp"
        OR "s"."doc" IS DISTINCT FROM "t"."doc"
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
      CAST("doc" AS JSONB) AS "doc",
      "_syncline_deleted",
      "_syncline_seq",
      "_syncline_tombstone"
    FROM (
      SELECT
        "id" AS "id",
        "name" AS "name",
        "stamp" AS "stamp",
        "doc" AS "doc",
        "_syncline_deleted",
        "_syncline_seq",
        FALSE AS "_syncline_tombstone"
      FROM "crm_staging"."s0000000000000000_run-0007_ticket"
    ) AS "landed"
  ) AS "s"
  LEFT JOIN "crm"."ticket" AS "t"
    ON (
      "s"."id" = "t"."id"
    )
) AS "e"
GROUP BY
  "action";

-- 17, in the transaction
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
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  '{"kind": "trial", "versions": {"Ticket": 2}}';

-- 18, in the transaction
COMMIT;

-- 19
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0007_ticket";
