-- both kinds
CREATE OR REPLACE TEMPORARY VIEW "temp"."main"."Account__20240203T040506-abc" AS
SELECT
  CAST("Id" AS TEXT) AS "Id",
  CAST("Na""me" AS TEXT) AS "Na""me",
  CAST("Amount" AS DECIMAL(18, 2)) AS "Amount",
  CAST("SystemModstamp" AS TIMESTAMPTZ) AS "SystemModstamp",
  "_syncline_deleted" AS "_syncline_deleted",
  "_syncline_seq" AS "_syncline_seq",
  FALSE AS "_syncline_tombstone"
FROM READ_PARQUET(
  ['/landing/a''b/dt=2024-02-03/run=x/1[[]0].parquet', '/landing/2[*][?].parquet'],
  "hive_partitioning" = FALSE
)
UNION ALL
SELECT
  CAST("Id" AS TEXT) AS "Id",
  CAST(NULL AS TEXT) AS "Na""me",
  CAST(NULL AS DECIMAL(18, 2)) AS "Amount",
  CAST("SystemModstamp" AS TIMESTAMPTZ) AS "SystemModstamp",
  "_syncline_deleted" AS "_syncline_deleted",
  "_syncline_seq" AS "_syncline_seq",
  TRUE AS "_syncline_tombstone"
FROM READ_PARQUET(['/landing/deleted.parquet'], "hive_partitioning" = FALSE);

-- records
CREATE OR REPLACE TEMPORARY VIEW "temp"."main"."Account__20240203T040506-abc" AS
SELECT
  CAST("Id" AS TEXT) AS "Id",
  CAST("Na""me" AS TEXT) AS "Na""me",
  CAST("Amount" AS DECIMAL(18, 2)) AS "Amount",
  CAST("SystemModstamp" AS TIMESTAMPTZ) AS "SystemModstamp",
  "_syncline_deleted" AS "_syncline_deleted",
  "_syncline_seq" AS "_syncline_seq",
  FALSE AS "_syncline_tombstone"
FROM READ_PARQUET(
  ['/landing/a''b/dt=2024-02-03/run=x/1[[]0].parquet', '/landing/2[*][?].parquet'],
  "hive_partitioning" = FALSE
);

-- nothing
CREATE OR REPLACE TEMPORARY VIEW "temp"."main"."Account__20240203T040506-abc" AS
SELECT
  CAST(NULL AS TEXT) AS "Id",
  CAST(NULL AS TEXT) AS "Na""me",
  CAST(NULL AS DECIMAL(18, 2)) AS "Amount",
  CAST(NULL AS TIMESTAMPTZ) AS "SystemModstamp",
  FALSE AS "_syncline_deleted",
  CAST(NULL AS BIGINT) AS "_syncline_seq",
  FALSE AS "_syncline_tombstone"
WHERE
  FALSE;

-- changes
CREATE OR REPLACE TEMPORARY TABLE "temp"."main"."Account__20240203T040506-abc__changes" (
  "seq" BIGINT,
  "target" BIGINT,
  "action" TEXT
);

-- count rows
SELECT
  COUNT(*),
  COUNT(*) FILTER(WHERE
    (
      "Id" IS NULL
    )),
  MIN("Id"),
  MAX("Id")
FROM "temp"."main"."Account__20240203T040506-abc";

-- count rows without a key
SELECT
  COUNT(*),
  COUNT(*) FILTER(WHERE
    FALSE),
  MIN(NULL),
  MAX(NULL)
FROM "temp"."main"."Account__20240203T040506-abc";

-- count keys
SELECT
  COUNT(*)
FROM (
  SELECT DISTINCT
    "Id" AS "key_0"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "keys";

-- count rows that differ
SELECT
  COUNT(*)
FROM (
  SELECT DISTINCT
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          )
        )
      )
    ) AS "key_0"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "keys";

-- drop
DROP TABLE IF EXISTS "temp"."main"."Account__20240203T040506-abc__changes";

-- drop
DROP VIEW IF EXISTS "temp"."main"."Account__20240203T040506-abc";
