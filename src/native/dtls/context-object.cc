// DtlsContext, as JavaScript sees it.
#include <memory>

#include "context.h"
#include "js.h"
#include "limits.h"

namespace dtls {

std::atomic<int> live_contexts{0};

namespace {

constexpr napi_type_tag kTag = {0x2be07d9466f14a5c, 0x81c35a0e97bd42f6};

struct Owner {
  Addon* addon;
  std::unique_ptr<Context> context;

  void release() {
    if (context != nullptr) live_contexts -= 1;
    context.reset();
  }
};

void on_collected(napi_env, void* data, void*) {
  auto* owner = static_cast<Owner*>(data);
  owner->release();
  delete owner;
}

bool read_settings(napi_env env, napi_value options, Settings* settings) {
  std::string role;
  bool present = false;
  if (!get_text(env, options, "role", &role, &present)) return false;
  if (role != "server" && role != "client") {
    throw_type_error(env, "role is neither \"server\" nor \"client\"");
    return false;
  }
  settings->server = role == "server";
  return get_number(env, options, "mtu", kMtuMin, kMtuMax, &settings->mtu) &&
         get_number(env, options, "retransmitMs", kRetransmitMsMin, kRetransmitMsMax, &settings->retransmit_ms) &&
         get_number(env, options, "ticketSeconds", 0, kTicketSecondsMax, &settings->ticket_seconds) &&
         get_number(env, options, "cookieSeconds", 1, kCookieSecondsMax, &settings->cookie_seconds) &&
         get_flag(env, options, "insecure", &settings->insecure) &&
         get_text(env, options, "cipherList", &settings->cipher_list, &present);
}

bool is_within(Bytes bytes, size_t max) { return bytes.length >= 1 && bytes.length <= max; }

bool read_entry(napi_env env, napi_value entry, const std::string& name, Credentials* credentials) {
  Bytes bytes;
  if (!is_object(env, entry)) {
    throw_type_error(env, name + " is not an object");
    return false;
  }
  if (!get_bytes(env, entry, "identity", &bytes)) return false;
  // To send one OpenSSL wants room for a NUL behind it.
  const size_t identity_max = kPskIdentityBytesMax - (credentials->settings().server ? 0 : 1);
  if (!is_within(bytes, identity_max)) {
    throw_range_error(env, name + ".identity is not 1 to " + std::to_string(identity_max) + " bytes");
    return false;
  }
  // A copy: a getter of the key may move it.
  const std::string identity = bytes.copy();
  if (!credentials->settings().server && identity.find('\0') != std::string::npos) {
    throw_range_error(env, name + ".identity has a NUL: as a client OpenSSL cannot send that");
    return false;
  }
  bytes = {};
  if (!get_bytes(env, entry, "key", &bytes)) return false;
  if (!is_within(bytes, kPskKeyBytesMax)) {
    throw_range_error(env, name + ".key is not 1 to " + std::to_string(kPskKeyBytesMax) + " bytes");
    return false;
  }
  credentials->psk().set(identity, bytes);
  return true;
}

bool read_psk(napi_env env, napi_value options, Credentials* credentials) {
  napi_value list = nullptr;
  bool present = false;
  bool is_array = false;
  uint32_t length = 0;
  if (!get(env, options, "psk", &list, &present)) return false;
  if (!present) return true;
  if (napi_is_array(env, list, &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env, list, &length) != napi_ok) {
    throw_type_error(env, "psk is not an array");
    return false;
  }
  const bool server = credentials->settings().server;
  if (!server && length > 1) {
    throw_range_error(env, "a client has one psk");
    return false;
  }
  for (uint32_t at = 0; at < length; at++) {
    // Thousands of entries would otherwise be thousands of handles.
    napi_handle_scope scope = nullptr;
    napi_value entry = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
    const std::string name = "psk[" + std::to_string(at) + "]";
    const bool good = napi_get_element(env, list, at, &entry) == napi_ok && read_entry(env, entry, name, credentials);
    napi_close_handle_scope(env, scope);
    if (!good) return false;
  }
  return true;
}

/** Credentials from options; nothing, and an exception is pending, if they are no good. */
Ref<Credentials> read_credentials(napi_env env, napi_value options, const Settings& settings) {
  Ref<Credentials> credentials(new Credentials(settings));
  Material material;
  // The PSK list first: its elements may be getters, and what JavaScript can run, can move the bytes of the others.
  if (!read_psk(env, options, credentials.get()) ||
      !get_flag(env, options, "requireClientCert", &material.require_client_cert))
    return {};
  std::string pem[3];
  Bytes* const parts[] = {&material.cert, &material.key, &material.ca};
  const char* const names[] = {"cert", "key", "ca"};
  for (size_t at = 0; at < 3; at++) {
    Bytes bytes;
    if (!get_bytes(env, options, names[at], &bytes)) return {};
    pem[at] = bytes.copy();
    *parts[at] = Bytes{reinterpret_cast<const uint8_t*>(pem[at].data()), pem[at].size()};
  }
  std::string reason;
  const bool prepared = credentials->prepare(material, &reason);
  OPENSSL_cleanse(pem[1].data(), pem[1].size());
  if (prepared) return credentials;
  throw_error(env, reason);
  return {};
}

napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value options = nullptr;
  napi_value self = nullptr;
  napi_value target = nullptr;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, &options, &self, &data) != napi_ok ||
      napi_get_new_target(env, info, &target) != napi_ok)
    return nullptr;
  if (target == nullptr) {
    throw_type_error(env, "DtlsContext is made with new");
    return nullptr;
  }
  if (!is_object(env, options)) {
    throw_type_error(env, "options is not an object");
    return nullptr;
  }
  Settings settings;
  if (!read_settings(env, options, &settings)) return nullptr;
  Ref<Credentials> credentials = read_credentials(env, options, settings);
  if (!credentials) return nullptr;
  auto* owner = new Owner{static_cast<Addon*>(data), std::make_unique<Context>(settings, std::move(credentials))};
  if (napi_type_tag_object(env, self, &kTag) != napi_ok ||
      napi_wrap(env, self, owner, on_collected, nullptr, nullptr) != napi_ok) {
    delete owner;
    throw_error(env, "no DtlsContext");
    return nullptr;
  }
  live_contexts += 1;
  return self;
}

/** The context that a method is called on; nullptr = an exception is pending. */
template <size_t ARGUMENTS>
Owner* open(napi_env env, napi_callback_info info, napi_value (&arguments)[ARGUMENTS], const char* role) {
  size_t count = ARGUMENTS;
  napi_value self = nullptr;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, &self, nullptr) != napi_ok) return nullptr;
  if (napi_unwrap(env, self, &data) != napi_ok) {
    throw_type_error(env, "not a DtlsContext");
    return nullptr;
  }
  auto* owner = static_cast<Owner*>(data);
  if (owner->context == nullptr) {
    throw_error(env, "the context is freed");
    return nullptr;
  }
  if (role != nullptr && owner->context->settings().server != (std::string(role) == "server")) {
    throw_type_error(env, std::string("this is for a ") + role + "'s context");
    return nullptr;
  }
  return owner;
}

napi_value update(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Owner* owner = open(env, info, arguments, nullptr);
  if (owner == nullptr) return nullptr;
  if (!is_object(env, arguments[0])) {
    throw_type_error(env, "credentials is not an object");
    return nullptr;
  }
  Ref<Credentials> credentials = read_credentials(env, arguments[0], owner->context->settings());
  // A getter of the options may have freed the context.
  if (credentials && owner->context != nullptr) owner->context->update(std::move(credentials));
  return nullptr;
}

napi_value hello(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Bytes datagram;
  Bytes peer;
  Owner* owner = open(env, info, arguments, "server");
  if (owner == nullptr || !read_bytes(env, arguments[0], "datagram", &datagram) ||
      !read_bytes(env, arguments[1], "peer", &peer))
    return nullptr;
  if (!is_within(peer, kPeerBytesMax)) {
    throw_range_error(env, "peer is not 1 to " + std::to_string(kPeerBytesMax) + " bytes");
    return nullptr;
  }
  const Context::Answer answer = owner->context->hello(datagram, peer);
  if (answer.session != nullptr) return wrap_session(env, owner->addon, answer.session);
  return answer.datagram == nullptr ? make_null(env) : make_buffer(env, answer.datagram);
}

napi_value connect(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  std::string server_name;
  Bytes resume;
  bool has_name = false;
  Owner* owner = open(env, info, arguments, "client");
  if (owner == nullptr) return nullptr;
  if (is_object(env, arguments[0]) && (!get_text(env, arguments[0], "serverName", &server_name, &has_name) ||
                                       !get_bytes(env, arguments[0], "resume", &resume)))
    return nullptr;
  if (owner->context == nullptr) {
    throw_error(env, "the context is freed");
    return nullptr;
  }
  std::unique_ptr<Session> session(owner->context->make_session());
  std::string complaint = "no memory";
  if (session != nullptr) complaint = session->connect(has_name ? server_name.c_str() : nullptr, resume);
  if (complaint.empty()) return wrap_session(env, owner->addon, session.release());
  throw_error(env, complaint);
  return nullptr;
}

napi_value is_cookie_of(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Bytes peer;
  Bytes cookie;
  Owner* owner = open(env, info, arguments, "server");
  if (owner == nullptr || !read_bytes(env, arguments[0], "peer", &peer) ||
      !read_bytes(env, arguments[1], "cookie", &cookie))
    return nullptr;
  napi_value answer;
  napi_get_boolean(env, is_within(peer, kPeerBytesMax) && owner->context->is_cookie_of(peer, cookie), &answer);
  return answer;
}

napi_value rotate(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Owner* owner = open(env, info, arguments, "server");
  if (owner != nullptr) owner->context->rotate();
  return nullptr;
}

napi_value release(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr) != napi_ok) return nullptr;
  if (napi_unwrap(env, self, &data) != napi_ok) {
    throw_type_error(env, "not a DtlsContext");
    return nullptr;
  }
  static_cast<Owner*>(data)->release();
  return nullptr;
}

napi_value get_refusal(napi_env env, napi_callback_info info) {
  const auto* owner = static_cast<Owner*>(unwrap_tagged(env, info, kTag));
  if (owner == nullptr) return nullptr;
  return make_text(env, owner->context == nullptr ? "" : owner->context->refusal().c_str());
}

napi_property_descriptor method(const char* name, napi_callback call) {
  return {name, nullptr, call, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

}  // namespace

bool define_context(napi_env env, Addon* addon, napi_value exports) {
  const napi_property_descriptor properties[] = {
      method("update", update), method("hello", hello),  method("connect", connect),
      method("isCookieOf", is_cookie_of), method("rotate", rotate), method("free", release),
      {"refusal", nullptr, nullptr, get_refusal, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_value made = nullptr;
  return napi_define_class(env, "DtlsContext", NAPI_AUTO_LENGTH, construct, addon,
                           sizeof properties / sizeof properties[0], properties, &made) == napi_ok &&
         napi_set_named_property(env, exports, "DtlsContext", made) == napi_ok;
}

}  // namespace dtls
