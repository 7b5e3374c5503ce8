-- count
SELECT
  COUNT(*),
  COALESCE(SUM("d"."held"), 0),
  (
    SELECT
      COUNT(*)
    FROM "crm"."main"."Account" AS "t"
    WHERE
      TRUE
  )
FROM (
  SELECT
    COUNT(*) AS "held",
    "s"."Id"
  FROM (
    SELECT
      "Id",
      "Na""me",
      "Amount",
      "SystemModstamp",
      "_syncline_deleted",
      "_syncline_seq",
      "_syncline_tombstone"
    FROM "temp"."main"."Account__20240203T040506-abc"
  ) AS "s"
  JOIN "crm"."main"."Account" AS "t"
    ON (
      "s"."Id" = "t"."Id"
    )
  WHERE
    TRUE
  GROUP BY
    "s"."Id"
  HAVING
    COUNT(*) > 1
) AS "d";

-- remove
DELETE FROM "crm"."main"."Account"
WHERE
  "Id" IN (
    SELECT
      "s"."Id"
    FROM (
      SELECT
        COUNT(*) AS "held",
        "s"."Id"
      FROM (
        SELECT
          "Id",
          "Na""me",
          "Amount",
          "SystemModstamp",
          "_syncline_deleted",
          "_syncline_seq",
          "_syncline_tombstone"
        FROM "temp"."main"."Account__20240203T040506-abc"
      ) AS "s"
      JOIN "crm"."main"."Account" AS "t"
        ON (
          "s"."Id" = "t"."Id"
        )
      WHERE
        TRUE
      GROUP BY
        "s"."Id"
      HAVING
        COUNT(*) > 1
    ) AS "s"
  );
