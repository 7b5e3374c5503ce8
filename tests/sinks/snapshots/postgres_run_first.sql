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
  n.nspname = 'crm_staging'
ORDER BY
  c.relname NULLS FIRST,
  a.attnum NULLS FIRST;

-- 4
CREATE SCHEMA IF NOT EXISTS "crm";

-- 5
CREATE TABLE IF NOT EXISTS "crm"."_syncline_watermarks" (
  "pipeline" TEXT,
  "stream" TEXT,
  "watermark" TIMESTAMPTZ,
  "version" BIGINT,
  "run_id" TEXT,
  "committed_at" TIMESTAMPTZ,
  "columns" TEXT,
  "target" TEXT,
  "definition" TEXT,
  PRIMARY KEY ("pipeline", "stream")
);

-- 6
CREATE TABLE IF NOT EXISTS "crm"."_syncline_runs" (
  "run_id" TEXT,
  "pipeline" TEXT,
  "started_at" TIMESTAMPTZ,
  "committed_at" TIMESTAMPTZ,
  "run" TEXT
);

-- 7
CREATE SCHEMA IF NOT EXISTS "crm_staging";

-- 8
CREATE TABLE IF NOT EXISTS "crm"."account" (
  "id" TEXT,
  "name" TEXT,
  "stamp" TIMESTAMPTZ,
  "_syncline_synced_at" TIMESTAMPTZ,
  PRIMARY KEY ("id")
);

-- 9
CREATE TABLE IF NOT EXISTS "crm"."contact" (
  "id" TEXT,
  "name" TEXT,
  "stamp" TIMESTAMPTZ,
  "_syncline_synced_at" TIMESTAMPTZ,
  "_syncline_deleted_at" TIMESTAMPTZ,
  PRIMARY KEY ("id")
);

-- 10
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

-- 11
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_account";

-- 12
CREATE UNLOGGED TABLE "crm_staging"."s0000000000000000_run-0001_account" (
  "id" TEXT,
  "name" TEXT,
  "stamp" TIMESTAMPTZ,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 13
COPY "crm_staging"."s0000000000000000_run-0001_account" FROM STDIN WITH (FORMAT csv);

-- 14
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
    "stamp" AS "stamp",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0001_account"
) AS "s";

-- 15
DELETE FROM "crm_staging"."s0000000000000000_run-0001_account"
WHERE
  "_syncline_seq" IN (
    SELECT
      "r"."_syncline_seq"
    FROM (
      SELECT
        "_syncline_seq",
        ROW_NUMBER() OVER (
          PARTITION BY "id"
          ORDER BY "stamp" DESC NULLS LAST, "_syncline_seq" DESC NULLS LAST
        ) AS "rank"
      FROM (
        SELECT
          "id" AS "id",
          "name" AS "name",
          "stamp" AS "stamp",
          "_syncline_deleted",
          "_syncline_seq",
          FALSE AS "_syncline_tombstone"
        FROM "crm_staging"."s0000000000000000_run-0001_account"
      ) AS "s"
    ) AS "r"
    WHERE
      "r"."rank" > 1
  );

-- 16
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_contact";

-- 17
CREATE UNLOGGED TABLE "crm_staging"."s0000000000000000_run-0001_contact" (
  "id" TEXT,
  "name" TEXT,
  "stamp" TIMESTAMPTZ,
  "_syncline_deleted" BOOLEAN,
  "_syncline_seq" BIGINT
);

-- 18
COPY "crm_staging"."s0000000000000000_run-0001_contact" FROM STDIN WITH (FORMAT csv);

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
        "id" AS "key_0"
      FROM (
        SELECT
          "id" AS "id",
          "name" AS "name",
          "stamp" AS "stamp",
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
    "stamp" AS "stamp",
    "_syncline_deleted",
    "_syncline_seq",
    FALSE AS "_syncline_tombstone"
  FROM "crm_staging"."s0000000000000000_run-0001_contact"
) AS "s";

-- 20, in the transaction
BEGIN;

-- 21, in the transaction
LOCK TABLE "crm"."_syncline_watermarks" IN SHARE ROW EXCLUSIVE MODE;

-- 22, in the transaction
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
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  '[]'
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "crm"."_syncline_watermarks" AS "w"
    WHERE
      "w"."pipeline" = 'trial' AND "w"."stream" = 'Account'
  );

-- 23, in the transaction
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
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  '[]'
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "crm"."_syncline_watermarks" AS "w"
    WHERE
      "w"."pipeline" = 'trial' AND "w"."stream" = 'Contact'
  );

-- 24, in the transaction
COMMIT;

-- 25, in the transaction
BEGIN;

-- 26, in the transaction
LOCK TABLE "crm"."_syncline_watermarks" IN SHARE ROW EXCLUSIVE MODE;

-- 27, in the transaction
UPDATE "crm"."_syncline_watermarks" SET "watermark" = CASE
  WHEN "stream" = 'Account'
  THEN CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ)
  WHEN "stream" = 'Contact'
  THEN CAST('2024-01-01 00:16:40.000000+00:00' AS TIMESTAMPTZ)
END, "version" = "version" + 1, "run_id" = 'run-0001', "committed_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ), "columns" = CASE
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

-- 28, in the transaction
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- 29, in the transaction
WITH changed AS (MERGE INTO "crm"."account" AS "t"
USING (
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
      "stamp" AS "stamp",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0001_account"
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
) THEN UPDATE SET
  "name" = "s"."name",
  "stamp" = "s"."stamp",
  "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
WHEN NOT MATCHED AND NOT "s"."_syncline_deleted" THEN INSERT ("id", "name", "stamp", "_syncline_synced_at") VALUES (
  "s"."id",
  "s"."name",
  "s"."stamp",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
) RETURNING merge_action() AS action) SELECT COUNT(*) FILTER (WHERE action = 'INSERT'), COUNT(*) FILTER (WHERE action = 'UPDATE'), COUNT(*) FILTER (WHERE action = 'DELETE') FROM changed;

-- 30, in the transaction
WITH changed AS (MERGE INTO "crm"."contact" AS "t"
USING (
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
      "stamp" AS "stamp",
      "_syncline_deleted",
      "_syncline_seq",
      FALSE AS "_syncline_tombstone"
    FROM "crm_staging"."s0000000000000000_run-0001_contact"
  ) AS "landed"
) AS "s"
ON "s"."id" = "t"."id"
WHEN MATCHED AND NOT "s"."_syncline_tombstone"
AND NOT (
  NOT "t"."stamp" IS NULL
  AND (
    "s"."stamp" IS NULL OR "s"."stamp" < "t"."stamp"
  )
)
AND (
  (
    "s"."name" IS DISTINCT FROM "t"."name"
    OR "s"."stamp" IS DISTINCT FROM "t"."stamp"
  )
  OR (
    NOT "s"."_syncline_deleted" AND NOT "t"."_syncline_deleted_at" IS NULL
  )
) THEN UPDATE SET
  "name" = "s"."name",
  "stamp" = "s"."stamp",
  "_syncline_synced_at" = CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  "_syncline_deleted_at" = CASE
    WHEN "s"."_syncline_deleted"
    THEN COALESCE(
      "t"."_syncline_deleted_at",
      CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
    )
    ELSE NULL
  END
WHEN NOT MATCHED AND NOT "s"."_syncline_deleted" THEN INSERT ("id", "name", "stamp", "_syncline_synced_at") VALUES (
  "s"."id",
  "s"."name",
  "s"."stamp",
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ)
) RETURNING merge_action() AS action) SELECT COUNT(*) FILTER (WHERE action = 'INSERT'), COUNT(*) FILTER (WHERE action = 'UPDATE'), COUNT(*) FILTER (WHERE action = 'DELETE') FROM changed;

-- 31, in the transaction
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
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ),
  CAST('2026-01-02 03:04:05.678901+00:00' AS TIMESTAMPTZ),
  '{"kind": "trial", "versions": {"Account": 1, "Contact": 1}}';

-- 32, in the transaction
COMMIT;

-- 33
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_account";

-- 34
DROP TABLE IF EXISTS "crm_staging"."s0000000000000000_run-0001_contact";
