#include "js.h"

#include <cmath>

namespace dtls {

void throw_type_error(napi_env env, const std::string& text) { napi_throw_type_error(env, nullptr, text.c_str()); }

void throw_range_error(napi_env env, const std::string& text) { napi_throw_range_error(env, nullptr, text.c_str()); }

void throw_error(napi_env env, const std::string& text) { napi_throw_error(env, nullptr, text.c_str()); }

bool read_bytes(napi_env env, napi_value value, const char* name, Bytes* out) {
  bool is_view = false;
  void* data = nullptr;
  size_t length = 0;
  if (napi_is_buffer(env, value, &is_view) == napi_ok && is_view &&
      napi_get_buffer_info(env, value, &data, &length) == napi_ok) {
    *out = Bytes{static_cast<const uint8_t*>(data), data == nullptr ? 0 : length};
    return true;
  }
  throw_type_error(env, std::string(name) + " is not a Uint8Array");
  return false;
}

bool read_index(napi_env env, napi_value value, const char* name, uint32_t* out) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= 0 && number <= UINT32_MAX &&
      number == std::floor(number)) {
    *out = static_cast<uint32_t>(number);
    return true;
  }
  throw_type_error(env, std::string(name) + " is not an index");
  return false;
}

bool is_object(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_object;
}

bool get(napi_env env, napi_value object, const char* name, napi_value* out, bool* present) {
  napi_valuetype type = napi_undefined;
  if (napi_get_named_property(env, object, name, out) != napi_ok || napi_typeof(env, *out, &type) != napi_ok)
    return false;
  *present = type != napi_undefined && type != napi_null;
  return true;
}

bool get_bytes(napi_env env, napi_value object, const char* name, Bytes* out) {
  napi_value value = nullptr;
  bool present = false;
  if (!get(env, object, name, &value, &present)) return false;
  return !present || read_bytes(env, value, name, out);
}

bool get_flag(napi_env env, napi_value object, const char* name, bool* out) {
  napi_value value = nullptr;
  bool present = false;
  if (!get(env, object, name, &value, &present)) return false;
  if (!present || napi_get_value_bool(env, value, out) == napi_ok) return true;
  throw_type_error(env, std::string(name) + " is not a boolean");
  return false;
}

bool get_number(napi_env env, napi_value object, const char* name, uint32_t min, uint32_t max, uint32_t* out) {
  napi_value value = nullptr;
  bool present = false;
  if (!get(env, object, name, &value, &present)) return false;
  if (!present) return true;
  if (!read_index(env, value, name, out)) return false;
  if (*out >= min && *out <= max) return true;
  throw_range_error(env, std::string(name) + " is not within " + std::to_string(min) + " to " + std::to_string(max));
  return false;
}

bool get_text(napi_env env, napi_value object, const char* name, std::string* out, bool* present) {
  napi_value value = nullptr;
  size_t length = 0;
  if (!get(env, object, name, &value, present)) return false;
  if (!*present) return true;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) == napi_ok) {
    out->resize(length + 1);
    if (napi_get_value_string_utf8(env, value, out->data(), length + 1, &length) == napi_ok) {
      out->resize(length);
      if (out->find('\0') == std::string::npos) return true;
    }
  }
  throw_type_error(env, std::string(name) + " is not a string without NUL");
  return false;
}

void* unwrap_tagged(napi_env env, napi_callback_info info, const napi_type_tag& tag) {
  napi_value self = nullptr;
  void* data = nullptr;
  bool is_ours = false;
  if (napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr) == napi_ok && is_object(env, self) &&
      napi_check_object_type_tag(env, self, &tag, &is_ours) == napi_ok && is_ours &&
      napi_unwrap(env, self, &data) == napi_ok)
    return data;
  throw_type_error(env, "Illegal invocation");
  return nullptr;
}

napi_value make_null(napi_env env) {
  napi_value value = nullptr;
  napi_get_null(env, &value);
  return value;
}

napi_value make_number(napi_env env, int64_t number) {
  napi_value value = nullptr;
  napi_create_int64(env, number, &value);
  return value;
}

napi_value make_flag(napi_env env, bool flag) {
  napi_value value = nullptr;
  napi_get_boolean(env, flag, &value);
  return value;
}

napi_value make_text(napi_env env, const char* text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

napi_value make_buffer(napi_env env, const void* data, size_t length) {
  napi_value value = nullptr;
  napi_create_buffer_copy(env, length, data, nullptr, &value);
  return value;
}

napi_value make_buffer(napi_env env, Datagram* datagram) {
  napi_value value = make_buffer(env, datagram->bytes(), datagram->length);
  Datagrams::release(datagram);
  return value;
}

}  // namespace dtls
