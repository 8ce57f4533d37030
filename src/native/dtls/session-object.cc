// DtlsSession, as JavaScript sees it: arguments in, bits out. The object owns the Session until free(), or until it is
// collected.
#include <memory>

#include "js.h"
#include "limits.h"
#include "session.h"

namespace dtls {

std::atomic<int> live_sessions{0};

namespace {

constexpr napi_type_tag kTag = {0x5ac9b1f0c3a84d27, 0x9d1f6e2b7a504c83};

/** What the JavaScript object holds. */
struct Owner {
  std::unique_ptr<Session> session;
};

/** V8 collects sooner when what its objects hold outside is much. */
void count(napi_env env, int change) {
  int64_t total = 0;
  live_sessions += change;
  napi_adjust_external_memory(env, change * kSessionBytes, &total);
}

void on_collected(napi_env env, void* data, void*) {
  auto* owner = static_cast<Owner*>(data);
  if (owner->session != nullptr) count(env, -1);
  delete owner;
}

napi_value construct(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, &self, &data) != napi_ok) return nullptr;
  auto* addon = static_cast<Addon*>(data);
  if (addon->arriving == nullptr) {
    throw_type_error(env, "a DtlsSession comes from hello() or connect() of a DtlsContext");
    return nullptr;
  }
  auto* owner = new Owner{std::unique_ptr<Session>(addon->arriving)};
  addon->arriving = nullptr;
  if (napi_type_tag_object(env, self, &kTag) != napi_ok ||
      napi_wrap(env, self, owner, on_collected, nullptr, nullptr) != napi_ok) {
    delete owner;
    throw_error(env, "no DtlsSession");
    return nullptr;
  }
  count(env, 1);
  return self;
}

/** The session that a method is called on, with ARGUMENTS arguments; nullptr = an exception is pending. */
template <size_t ARGUMENTS>
Session* open(napi_env env, napi_callback_info info, napi_value (&arguments)[ARGUMENTS]) {
  size_t count = ARGUMENTS;
  napi_value self = nullptr;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, &self, nullptr) != napi_ok) return nullptr;
  // V8 calls a method only on an object of this class.
  if (napi_unwrap(env, self, &data) != napi_ok) {
    throw_type_error(env, "not a DtlsSession");
    return nullptr;
  }
  Session* session = static_cast<Owner*>(data)->session.get();
  if (session == nullptr) throw_error(env, "the session is freed");
  return session;
}

Session* open(napi_env env, napi_callback_info info) {
  napi_value none[1];
  return open(env, info, none);
}

napi_value receive(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Bytes datagram;
  Session* session = open(env, info, arguments);
  if (session == nullptr || !read_bytes(env, arguments[0], "datagram", &datagram)) return nullptr;
  return make_number(env, session->receive(datagram));
}

napi_value read(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  Bytes into;
  Session* session = open(env, info, arguments);
  if (session == nullptr || !read_bytes(env, arguments[0], "into", &into)) return nullptr;
  if (into.length < kRecordBytesMax) {
    throw_range_error(env, "into is smaller than a record may be");
    return nullptr;
  }
  return make_number(env, session->read(const_cast<uint8_t*>(into.data), kRecordBytesMax));
}

napi_value send(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  Bytes bytes;
  uint32_t from = 0;
  uint32_t end = 0;
  Session* session = open(env, info, arguments);
  if (session == nullptr || !read_bytes(env, arguments[0], "bytes", &bytes) ||
      !read_index(env, arguments[1], "from", &from) || !read_index(env, arguments[2], "end", &end))
    return nullptr;
  if (from > end || end > bytes.length) {
    throw_range_error(env, "from and end are not within bytes");
    return nullptr;
  }
  return make_number(env, session->send(Bytes{bytes.data + from, end - from}));
}

napi_value take_output(napi_env env, napi_callback_info info) {
  Session* session = open(env, info);
  if (session == nullptr) return nullptr;
  Datagram* datagram = session->datagrams().take();
  return datagram == nullptr ? make_null(env) : make_buffer(env, datagram);
}

napi_value timeout_ms(napi_env env, napi_callback_info info) {
  Session* session = open(env, info);
  return session == nullptr ? nullptr : make_number(env, session->timeout_ms());
}

napi_value on_timeout(napi_env env, napi_callback_info info) {
  Session* session = open(env, info);
  return session == nullptr ? nullptr : make_number(env, session->on_timeout());
}

napi_value close(napi_env env, napi_callback_info info) {
  Session* session = open(env, info);
  return session == nullptr ? nullptr : make_number(env, session->close());
}

napi_value resumption(napi_env env, napi_callback_info info) {
  Session* session = open(env, info);
  if (session == nullptr) return nullptr;
  const SSL_SESSION* ticket = session->resumption();
  uint8_t* der = nullptr;
  const int length = ticket == nullptr ? -1 : i2d_SSL_SESSION(ticket, &der);
  napi_value value = length <= 0 ? make_null(env) : make_buffer(env, der, static_cast<size_t>(length));
  if (length > 0) OPENSSL_clear_free(der, static_cast<size_t>(length));
  return value;
}

/** Unlike the others, free() and the getters do not mind a freed session. */
Owner* owner_of(napi_env env, napi_callback_info info) {
  return static_cast<Owner*>(unwrap_tagged(env, info, kTag));
}

napi_value release(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr || owner->session == nullptr) return nullptr;
  owner->session.reset();
  count(env, -1);
  return nullptr;
}

napi_value get_identity(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr) return nullptr;
  if (owner->session == nullptr || owner->session->identity().empty()) return make_null(env);
  const std::string& identity = owner->session->identity();
  return make_buffer(env, identity.data(), identity.size());
}

napi_value get_peer_certificate(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr) return nullptr;
  X509* certificate = owner->session == nullptr ? nullptr : owner->session->peer_certificate();
  uint8_t* der = nullptr;
  const int length = certificate == nullptr ? -1 : i2d_X509(certificate, &der);
  napi_value value = length <= 0 ? make_null(env) : make_buffer(env, der, static_cast<size_t>(length));
  if (length > 0) OPENSSL_free(der);
  return value;
}

napi_value get_cipher(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr) return nullptr;
  return make_text(env, owner->session == nullptr ? "" : owner->session->cipher());
}

napi_value get_resumed(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr) return nullptr;
  return make_flag(env, owner->session != nullptr && owner->session->resumed());
}

napi_value get_payload_max(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr) return nullptr;
  return make_number(env, owner->session == nullptr ? 0 : static_cast<int64_t>(owner->session->payload_max()));
}

napi_value get_error(napi_env env, napi_callback_info info) {
  Owner* owner = owner_of(env, info);
  if (owner == nullptr) return nullptr;
  return make_text(env, owner->session == nullptr ? "" : owner->session->error().c_str());
}

napi_property_descriptor method(const char* name, napi_callback call) {
  return {name, nullptr, call, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

napi_property_descriptor getter(const char* name, napi_callback call) {
  return {name, nullptr, nullptr, call, nullptr, nullptr, napi_enumerable, nullptr};
}

}  // namespace

bool define_session(napi_env env, Addon* addon) {
  const napi_property_descriptor properties[] = {
      method("receive", receive),
      method("read", read),
      method("send", send),
      method("takeOutput", take_output),
      method("timeoutMs", timeout_ms),
      method("onTimeout", on_timeout),
      method("close", close),
      method("free", release),
      method("resumption", resumption),
      getter("identity", get_identity),
      getter("peerCertificate", get_peer_certificate),
      getter("cipher", get_cipher),
      getter("resumed", get_resumed),
      getter("payloadMax", get_payload_max),
      getter("error", get_error),
  };
  napi_value made = nullptr;
  return napi_define_class(env, "DtlsSession", NAPI_AUTO_LENGTH, construct, addon,
                           sizeof properties / sizeof properties[0], properties, &made) == napi_ok &&
         napi_create_reference(env, made, 1, &addon->session_class) == napi_ok;
}

napi_value wrap_session(napi_env env, Addon* addon, Session* session) {
  napi_value made_by = nullptr;
  napi_value object = nullptr;
  addon->arriving = session;
  if (napi_get_reference_value(env, addon->session_class, &made_by) == napi_ok &&
      napi_new_instance(env, made_by, 0, nullptr, &object) == napi_ok)
    return object;
  delete addon->arriving;
  addon->arriving = nullptr;
  return nullptr;
}

}  // namespace dtls
