// Starts the page. Slashes in a stream's path stay slashes: the form would encode them, and `a%2Fb` names nothing.
window.onload = () => {
  const description = new URLSearchParams(location.search).get("url") ?? "/openapi.json";
  window.ui = SwaggerUIBundle({
    url: description,
    dom_id: "#swagger-ui",
    deepLinking: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl],
    layout: "StandaloneLayout",
    requestInterceptor: (request) => {
      const url = new URL(request.url, location.origin);
      const [stream, ...resource] = url.pathname.split("/-/");
      url.pathname = [stream.replaceAll(/%2f/gi, "/"), ...resource].join("/-/");
      request.url = url.href;
      return request;
    },
  });
};
