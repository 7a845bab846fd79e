-- ES256 tokens of one issuer, by the OpenSSL that nginx itself is linked with.
local ffi = require "ffi"
local cjson = require "cjson.safe"
local decode = require("ngx.base64").decode_base64url
local remember = require("resty.lrucache").new(10000)
local C = ffi.C

ffi.cdef [[
  void *BIO_new_mem_buf(const void *data, int length);
  int BIO_free(void *bio);
  void *PEM_read_bio_PUBKEY(void *bio, void **key, void *callback, void *argument);
  void *EVP_MD_CTX_new(void);
  int EVP_MD_CTX_reset(void *context);
  const void *EVP_sha256(void);
  int EVP_DigestVerifyInit(void *context, void **inner, const void *digest, void *engine, void *key);
  int EVP_DigestVerify(void *context, const char *signature, size_t length, const char *text, size_t size);
  void ERR_clear_error(void);
]]

local M = {}
local issuer, audience, key_id = os.getenv("BENCH_ISSUER"), os.getenv("BENCH_AUDIENCE"), os.getenv("BENCH_KEY_ID")
local context = C.EVP_MD_CTX_new()

local function public_key(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  local bio = C.BIO_new_mem_buf(text, #text)
  local key = C.PEM_read_bio_PUBKEY(bio, nil, nil, nil)
  C.BIO_free(bio)
  assert(key ~= nil, "not a public key: " .. path)
  return key
end
local key = public_key(os.getenv("BENCH_ISSUER_PEM"))

-- A big-endian number as DER.
local function integer(bytes)
  bytes = bytes:gsub("^%z+", "")
  if bytes == "" or bytes:byte() > 127 then bytes = "\0" .. bytes end
  return "\2" .. string.char(#bytes) .. bytes
end

local function signed_by_issuer(text, signature)
  if not signature or #signature ~= 64 then return false end
  local pair = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
  local der = "\48" .. string.char(#pair) .. pair
  C.EVP_MD_CTX_reset(context)
  local good = C.EVP_DigestVerifyInit(context, nil, C.EVP_sha256(), nil, key) == 1
    and C.EVP_DigestVerify(context, der, #der, text, #text) == 1
  if not good then C.ERR_clear_error() end
  return good
end

local function names_us(list)
  if type(list) ~= "table" then return list == audience end
  for _, one in ipairs(list) do
    if one == audience then return true end
  end
  return false
end

local function verify(token)
  local header, claims, signature = token:match("^([^.]+)%.([^.]+)%.([^.]+)$")
  if not header then return nil end
  local head = cjson.decode(decode(header) or "")
  if type(head) ~= "table" or head.alg ~= "ES256" or head.kid ~= key_id then return nil end
  if not signed_by_issuer(header .. "." .. claims, decode(signature)) then return nil end
  local told = cjson.decode(decode(claims) or "")
  if type(told) ~= "table" or type(told.sub) ~= "string" or type(told.exp) ~= "number" then return nil end
  if told.iss ~= issuer or not names_us(told.aud) then return nil end
  return { subject = told.sub, expires = told.exp }
end

-- The subject of a good token.
function M.subject(token)
  local known = remember:get(token)
  if not known then
    known = verify(token)
    if not known then return nil end
    if known.expires > ngx.time() then remember:set(token, known, known.expires - ngx.time()) end
  end
  return known.expires > ngx.time() and known.subject or nil
end

return M
