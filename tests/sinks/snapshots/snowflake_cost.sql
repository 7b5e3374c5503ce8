-- the last 7 days
SELECT
  TO_CHAR(DATE_TRUNC('DAY', q.start_time), 'YYYY-MM-DD') AS day,
  COUNT(DISTINCT CAST(GET_PATH(TRY_PARSE_JSON(q.query_tag), 'run') AS VARCHAR)) AS runs,
  COUNT(*) AS queries,
  SUM(a.credits_attributed_compute) AS credits,
  SUM(q.bytes_scanned) AS bytes_scanned
FROM snowflake.account_usage.query_history AS q
LEFT JOIN snowflake.account_usage.query_attribution_history AS a
  ON a.query_id = q.query_id
WHERE
  q.start_time >= DATEADD(DAY, -7, CURRENT_TIMESTAMP())
  AND CAST(GET_PATH(TRY_PARSE_JSON(q.query_tag), 'app') AS VARCHAR) = 'syncline'
  AND CAST(GET_PATH(TRY_PARSE_JSON(q.query_tag), 'pipeline') AS VARCHAR) = 'crm'
GROUP BY
  1
ORDER BY
  1;
