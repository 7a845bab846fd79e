-- What nginx + Lua does before it proxies: a good token (verified once, then remembered), and a grant
-- that is read from Redis for every request.
local tokens = require "tokens"
local redis = require "nginx.redis"

local M = {}
local redis_port = tonumber(os.getenv("BENCH_REDIS_PORT"))

-- The status to refuse with; nothing: there is a grant.
local function refused(subject)
  local client = redis:new()
  client:set_timeout(200)
  if not client:connect("127.0.0.1", redis_port) then return 503 end
  local tool = ngx.var.uri:match("^/([^/]*)")
  local grant, fault = client:get("grant:" .. subject .. ":" .. tool)
  if fault then return 503 end
  client:set_keepalive(60000, 256)
  if grant == nil or grant == ngx.null then return 403 end
end

function M.check()
  local header = ngx.var.http_authorization
  if not header or header:sub(1, 7) ~= "Bearer " then return ngx.exit(401) end
  local subject = tokens.subject(header:sub(8))
  if not subject then return ngx.exit(401) end
  local status = refused(subject)
  if status then return ngx.exit(status) end
end

return M
