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

/* A key with a passphrase would ask for it on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

static tm_status show_ours(SSL_CTX *context, const tm_redis_tls_files *files, tm_error *error)
{
    if (files->certificate == NULL) {
        return TM_OK;
    }
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1) {
        return tm_fail(error, TM_REJECT, "TLS: cannot read our certificate of %s: %s", files->certificate,
                       openssl_says());
    }
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1) {
        return tm_fail(error, TM_REJECT, "TLS: cannot use the key of %s with the certificate of %s: %s", files->key,
                       files->certificate, openssl_says());
    }
    return TM_OK;
}

static tm_status make(tm_redis_tls **ret_secrets, const tm_redis_tls_files *files, tm_error *error)
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
    int loaded = files->ca != NULL ? SSL_CTX_load_verify_locations(secrets->context, files->ca, NULL)
                                   : SSL_CTX_set_default_verify_paths(secrets->context);
    if (loaded != 1) {
        return tm_fail(error, TM_REJECT, "TLS: cannot read the certificates of %s: %s",
                       files->ca != NULL ? files->ca : "the system", openssl_says());
    }
    return show_ours(secrets->context, files, error);
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

tm_status tm_redis_tls_start(tm_redis_tls **secrets, redisContext *context, const char *host,
                             const tm_redis_tls_files *files, tm_error *error)
{
    if (*secrets == NULL) {
        tm_status status = make(secrets, files, error);
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

tm_status tm_redis_tls_start(tm_redis_tls **secrets, redisContext *context, const char *host,
                             const tm_redis_tls_files *files, tm_error *error)
{
    (void)secrets;
    (void)context;
    (void)host;
    (void)files;
    return tm_fail(error, TM_REJECT, "this build has no TLS");
}

void tm_redis_tls_free(tm_redis_tls *secrets)
{
    (void)secrets;
}

#endif
