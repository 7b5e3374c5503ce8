-- create
CREATE SCHEMA IF NOT EXISTS "crm"."main";

-- create
CREATE TABLE IF NOT EXISTS "crm"."main"."_syncline_watermarks" (
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

-- create
CREATE TABLE IF NOT EXISTS "crm"."main"."_syncline_runs" (
  "run_id" TEXT,
  "pipeline" TEXT,
  "started_at" TIMESTAMPTZ,
  "committed_at" TIMESTAMPTZ,
  "run" TEXT
);

-- catalog
SELECT
  "table_name",
  "column_name",
  "data_type"
FROM "information_schema"."columns"
WHERE
  "table_catalog" = 'crm' AND "table_schema" = 'main'
ORDER BY
  "table_name" NULLS FIRST,
  "ordinal_position" NULLS FIRST;

-- watermarks
SELECT
  "stream",
  "watermark",
  "version",
  "run_id",
  "committed_at",
  "columns",
  "target",
  "definition"
FROM "crm"."main"."_syncline_watermarks"
WHERE
  "pipeline" = 'crm'
ORDER BY
  "stream" NULLS FIRST;

-- owners
SELECT
  "pipeline",
  "stream",
  "target"
FROM "crm"."main"."_syncline_watermarks"
ORDER BY
  "pipeline" NULLS FIRST,
  "stream" NULLS FIRST;

-- first fence
INSERT INTO "crm"."main"."_syncline_watermarks" (
  "pipeline",
  "stream",
  "watermark",
  "version",
  "run_id",
  "committed_at",
  "columns",
  "target",
  "definition"
)
SELECT
  'crm',
  'Account',
  NULL,
  1,
  '20240203T040506-abc',
  CAST('2024-02-03 04:05:06.000789+00:00' AS TIMESTAMPTZ),
  '["Id"]',
  'Account',
  '0123456789abcdef'
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "crm"."main"."_syncline_watermarks"
    WHERE
      "pipeline" = 'crm' AND "stream" = 'Account'
  );

-- later fence
UPDATE "crm"."main"."_syncline_watermarks" SET "watermark" = CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ), "version" = 8, "run_id" = '20240203T040506-abc', "committed_at" = CAST('2024-02-03 04:05:06.000789+00:00' AS TIMESTAMPTZ), "columns" = '["Id", "Na\"me"]', "target" = 'O''Account', "definition" = '0123456789abcdef'
WHERE
  "pipeline" = 'crm' AND "stream" = 'Account' AND "version" = 7;

-- run
INSERT INTO "crm"."main"."_syncline_runs" (
  "run_id",
  "pipeline",
  "started_at",
  "committed_at",
  "run"
)
SELECT
  '20240203T040506-abc',
  'crm',
  CAST('2024-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ),
  CAST('2024-02-03 04:05:06.000789+00:00' AS TIMESTAMPTZ),
  '{"note": "it''s", "versions": {}}';

-- what the run told before
SELECT
  "run"
FROM "crm"."main"."_syncline_runs"
WHERE
  "pipeline" = 'crm' AND "run_id" = '20240203T040506-abc'
ORDER BY
  "committed_at" NULLS FIRST;

-- its row, to be replaced
DELETE FROM "crm"."main"."_syncline_runs"
WHERE
  "pipeline" = 'crm' AND "run_id" = '20240203T040506-abc';
