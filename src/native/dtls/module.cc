// The addon's door: what `process.dlopen` finds.
#include <node_api.h>
#include <openssl/crypto.h>

#include <string>

#include "js.h"

namespace {

/** As in binding.ts. */
constexpr int kRevision = 2;

napi_value live(napi_env env, napi_callback_info) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return nullptr;
  napi_set_named_property(env, object, "contexts", dtls::make_number(env, dtls::live_contexts));
  napi_set_named_property(env, object, "sessions", dtls::make_number(env, dtls::live_sessions));
  return object;
}

#ifdef SLUICE_CHECKED
/** In the checked build alone: reads a byte behind a block, so that a test can tell whether anybody looks. */
napi_value plant(napi_env env, napi_callback_info) {
  uint8_t* volatile block = new uint8_t[16]();
  const uint8_t read = block[16];
  delete[] block;
  return dtls::make_number(env, read);
}
#endif

void on_environment_end(napi_env env, void* data, void*) {
  auto* addon = static_cast<dtls::Addon*>(data);
  if (addon->session_class != nullptr) napi_delete_reference(env, addon->session_class);
  delete addon;
}

napi_value init(napi_env env, napi_value exports) {
  // The structures are opaque and the functions keep their meaning within a major version, not beyond.
  if (OPENSSL_version_major() != OPENSSL_VERSION_MAJOR) {
    dtls::throw_error(env, std::string("it is built for OpenSSL ") + std::to_string(OPENSSL_VERSION_MAJOR) +
                               ", this node has " + OpenSSL_version(OPENSSL_VERSION_STRING));
    return nullptr;
  }
  auto* addon = new dtls::Addon;
  if (napi_set_instance_data(env, addon, on_environment_end, nullptr) != napi_ok) {
    delete addon;
    return nullptr;
  }
  napi_value function = nullptr;
  if (!dtls::define_session(env, addon) || !dtls::define_context(env, addon, exports) ||
      napi_create_function(env, "live", NAPI_AUTO_LENGTH, live, nullptr, &function) != napi_ok)
    return nullptr;
  napi_set_named_property(env, exports, "live", function);
#ifdef SLUICE_CHECKED
  if (napi_create_function(env, "plant", NAPI_AUTO_LENGTH, plant, nullptr, &function) != napi_ok) return nullptr;
  napi_set_named_property(env, exports, "plant", function);
#endif
  napi_set_named_property(env, exports, "openssl", dtls::make_text(env, OpenSSL_version(OPENSSL_VERSION_STRING)));
  napi_set_named_property(env, exports, "revision", dtls::make_number(env, kRevision));
  return exports;
}

}  // namespace

NAPI_MODULE(dtls, init)
