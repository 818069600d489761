FROM bench-postgres
COPY database.sh /database.sh
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/database.sh"]
