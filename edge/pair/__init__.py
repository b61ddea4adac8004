"""The kit's side of a pairing; edge.site is the other.

joining    from an invitation to settings that name a broker
sight      reads the invitation's QR code with the kit's own camera
renewal    another certificate in good time, from the site's registrar
command    `suasana pair`
"""
