#include "tls.h"

#ifdef TIDEMARK_REDIS_TLS

#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct tm_redis_tls {
    SSL_CTX *context;
};

static const char *openssl_says(void)
{
    const char *reason = ERR_reason_error_string(ERR_get_error());
    return reason != NULL ? reason : "no reason given";
}

static tm_status make(tm_redis_tls **ret_secrets, const char *ca_file, tm_error *error)
{
    tm_redis_tls *secrets = calloc(1, sizeof(*secrets));
    *ret_secrets = secrets;
    if (secrets == NULL) {
        return tm_fail(error, TM_FATAL, "out of memory");
    }
    ERR_clear_error();
    secrets->context = SSL_CTX_new(TLS_client_method());
    if (secrets->context == NULL) {
        return tm_fail(error, TM_FATAL, "TLS: %s", openssl_says());
    }
    SSL_CTX_set_min_proto_version(secrets->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(secrets->context, SSL_VERIFY_PEER, NULL);
    int loaded = ca_file != NULL ? SSL_CTX_load_verify_locations(secrets->context, ca_file, NULL)
                                 : SSL_CTX_set_default_verify_paths(secrets->context);
    if (loaded != 1) {
        return tm_fail(error, TM_REJECT, "TLS: cannot read the certificates of %s: %s",
                       ca_file != NULL ? ca_file : "the system", openssl_says());
    }
    return TM_OK;
}

/* hiredis checks the chain but not whom the certificate is made out to: so the session is made here. */
static SSL *session_for(const tm_redis_tls *secrets, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    SSL *session = SSL_new(secrets->context);
    if (session == NULL) {
        return NULL;
    }
    bool numeric = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    char *name = (char *)(uintptr_t)host; /* OpenSSL's macro casts the const away, which clang holds against us */
    int wanted = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host)
                         : SSL_set1_host(session, host) && SSL_set_tlsext_host_name(session, name);
    if (wanted != 1) {
        SSL_free(session);
        return NULL;
    }
    return session;
}

tm_status tm_redis_tls_start(tm_redis_tls **secrets, redisContext *context, const char *host, const char *ca_file,
                             tm_error *error)
{
    if (*secrets == NULL) {
        tm_status status = make(secrets, ca_file, error);
        if (status != TM_OK) {
            tm_redis_tls_free(*secrets);
            *secrets = NULL;
            return status;
        }
    }
    SSL *session = session_for(*secrets, host);
    if (session == NULL) {
        return tm_fail(error, TM_FATAL, "TLS: %s", openssl_says());
    }
    if (redisInitiateSSL(context, session) != REDIS_OK) {
        SSL_free(session); /* taken only when all went well */
        return tm_fail(error, TM_RETRY, "Redis at %s: TLS: %s", host, context->errstr);
    }
    return TM_OK;
}

void tm_redis_tls_free(tm_redis_tls *secrets)
{
    if (secrets != NULL) {
        SSL_CTX_free(secrets->context);
        free(secrets);
    }
}

#else

tm_status tm_redis_tls_start(tm_redis_tls **secrets, redisContext *context, const char *host, const char *ca_file,
                             tm_error *error)
{
    (void)secrets;
    (void)context;
    (void)host;
    (void)ca_file;
    return tm_fail(error, TM_REJECT, "this build has no TLS");
}

void tm_redis_tls_free(tm_redis_tls *secrets)
{
    (void)secrets;
}

#endif
